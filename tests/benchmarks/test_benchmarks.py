"""The measuring tools themselves: names, interleaving, assembled matrices."""

import torch

from benchmarks import __main__ as command
from benchmarks.evolve import assemble
from benchmarks.timing import print_table, side_by_side
from koopman_core.operator import KoopmanOperator


def test_unknown_name(capsys):
    assert command.main(["nothing"]) == 2
    assert "choose any of" in capsys.readouterr().err


def test_rounds_are_interleaved_and_warm_up_is_not_counted():
    order = []
    seconds = side_by_side({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3, warmup=1)
    assert order == ["a", "b"] * 4 and set(seconds) == {"a", "b"} and min(seconds.values()) > 0


def test_assembled_generators_are_the_operators():
    operator = KoopmanOperator((6, 2, 3))
    torch.nn.init.normal_(operator.a)
    z = torch.randn(1, 6, 2, 3)
    with torch.no_grad():
        a = assemble(operator)
        want = torch.einsum("ijcd,bdij->bcij", torch.linalg.matrix_exp(-0.7 * a), z)
        torch.testing.assert_close(operator(z, -0.7), want, rtol=1e-5, atol=1e-5)


def test_table(capsys):
    print_table("T", ["x", "y"], [["1", "2"]])
    assert capsys.readouterr().out.splitlines()[-3:] == ["| x | y |", "| --- | --- |", "| 1 | 2 |"]
