"""What the benches share: contenders that take turns, facts about the machine, results on paper."""
