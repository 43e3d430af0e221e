"""The measuring tools themselves: names, interleaving, assembled matrices."""

from types import SimpleNamespace

import torch

from analysis import Workbench
from benchmarks import __main__ as command
from benchmarks import slider
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


def test_every_move_of_a_slider_is_another_question():
    for method, requests, target in slider.questions(7).values():
        described = {repr(r) for r in requests}
        assert len(requests) == len(described) == 7 and target > 0 and hasattr(Workbench, method)


def test_moves_are_timed_and_encodings_counted():
    bench, asked = SimpleNamespace(encodes=4), []

    def ask(request):
        asked.append(request)
        bench.encodes += request == "b"  # and once for the first, which does not count
        bench.encodes += len(asked) == 1

    found = slider.measure(bench, ask, ["a", "b", "c"])
    assert asked == ["a", "b", "c"] and len(found.milliseconds) == len(found.computing) == 2 and found.encodes == 1
