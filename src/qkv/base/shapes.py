"""The letters used for axes in every annotation of qkv.

| letter | axis | letter | axis |
|--|--|--|--|
| b | batch | m | model width |
| t | target or sequence | v | vocabulary |
| s | source | a | hidden width of an additive score |
| h | query heads | n | rows without a name |
| g | key and value heads | c | channels |
| d, e | width of one head's keys, values | y, x | pixels |

Heads are always `(b, h, t, d)`, images `(b, c, y, x)`.
"""
