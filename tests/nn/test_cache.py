import torch

from qkv.nn.cache import KeyValue, grow, keep, make_room, pick
from qkv.nn.where import Where
from qkv.ops.masks import reach_mask


def cache(rows: int = 3, places: int = 4) -> KeyValue:
    return KeyValue(torch.randn(rows, 2, places, 5), torch.randn(rows, 2, places, 5))


def test_room_is_of_the_kind_of_its_example():
    room = make_room(KeyValue(torch.ones(2, 3, 9, 5).double(), torch.ones(2, 3, 9, 6).double()), 7, 4)
    assert (room.k.shape, room.k.dtype) == ((7, 3, 4, 5), torch.float64)
    assert room.k.eq(0).all() and room.v.data_ptr() != room.k.data_ptr()


def test_on_cpus_bfloat16_is_kept_in_float32():
    half = KeyValue(*(x.bfloat16() for x in cache()))
    room = make_room(half, 3, 4)
    assert room.k.dtype == room.v.dtype == keep(half).k.dtype == torch.float32
    assert torch.equal(keep(half).v, half.v.float())
    grow(room, half.k[:, :, :1], half.v[:, :, :1], Where(mask=reach_mask(torch.tensor([0]), 1), at=torch.tensor([0])))
    assert torch.equal(room.k[:, :, :1], half.k[:, :, :1].float())
    assert keep(cache()).k.dtype == torch.float32 and make_room(cache(), 3, 4).k.dtype == torch.float32
    assert make_room(KeyValue(*(x.double() for x in cache())), 3, 4).k.dtype == torch.float64


def test_new_keys_are_written_in_place_where_the_queries_stand():
    room, new = make_room(cache(), 3, 4), cache(places=1)
    shown = grow(room, *new, Where(mask=reach_mask(torch.tensor([2]), 3), at=torch.tensor([2])))
    assert torch.equal(room.k[:, :, 2:3], new.k) and torch.equal(room.v[:, :, 2:3], new.v)
    assert room.k[:, :, [0, 1, 3]].eq(0).all()
    assert shown.k.size(2) == 3 and shown.k.data_ptr() == room.k.data_ptr()


def test_chosen_rows_are_copied_in_their_order():
    old, rows = cache(), torch.tensor([2, 2, 0, 1])
    new = pick(old, rows)
    assert torch.equal(new.k, old.k[rows]) and torch.equal(new.v, old.v[rows])
    assert new.k.data_ptr() != old.k.data_ptr()


def test_rows_move_within_their_room_as_far_as_it_is_written():
    old, rows = cache(), torch.tensor([2, 0])
    before = KeyValue(old.k.clone(), old.v.clone())
    new = pick(old, rows, 3)
    assert new.k.shape == (2, 2, 4, 5)
    for now, then in zip(new, before, strict=True):
        assert torch.equal(now[:, :, :3], then[rows][:, :, :3])
        assert torch.equal(now[:, :, 3], then[:2, :, 3]), "what nothing was written to is not moved"
    assert new.k.data_ptr() == old.k.data_ptr()
