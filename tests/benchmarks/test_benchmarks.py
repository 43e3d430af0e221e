"""The measuring tools themselves: names, interleaving, assembled matrices."""

from types import SimpleNamespace

import torch

from analysis.core.errors import UserError
from analysis.workbench.workbench import Workbench
from benchmarks import __main__ as command
from benchmarks import examples, features, precision, slider, timing
from benchmarks.evolve import assemble
from benchmarks.timing import Ratio, print_table, ratio, side_by_side, timed_rounds
from foundation.metrics.inception import NetworkMissing
from foundation.networks.unet import UNetConfig
from koopman_core.edm import EDM
from koopman_core.operator import KoopmanOperator


def test_unknown_name(capsys):
    assert command.main(["nothing"]) == 2
    assert "'nothing'" in capsys.readouterr().err


def test_only_what_has_a_section_is_asked_to_write(monkeypatch, capsys):
    asked = []
    fake = lambda name: SimpleNamespace(run=lambda **options: asked.append((name, options)))  # noqa: E731
    monkeypatch.setattr(command.importlib, "import_module", fake)
    assert command.main(["evolve", "cost", "--write"]) == 0
    assert command.main([]) == 0
    assert asked[:2] == [("benchmarks.evolve", {}), ("benchmarks.cost", {"write": True})]
    assert ("benchmarks.cost", {"write": False}) in asked and len(asked) == 2 + len(command.BENCHMARKS)
    assert command.main(["evolve", "--write"]) == 2 and "--write" in capsys.readouterr().err
    assert command.main(["flow", "evolve", "--seeds", "3"]) == 0
    assert asked[-2:] == [("benchmarks.flow", {"seeds": 3}), ("benchmarks.evolve", {})]
    assert command.main(["evolve", "--seeds", "3"]) == 2


def test_what_is_missing_is_told_in_a_sentence(monkeypatch, capsys):
    def run(**options):
        raise UserError("There is no such model.")

    monkeypatch.setattr(command.importlib, "import_module", lambda name: SimpleNamespace(run=run))
    assert command.main(["cost"]) == 2
    assert capsys.readouterr().err == "benchmarks: There is no such model.\n"


def test_a_quick_function_is_called_again_until_its_time_is_up(monkeypatch):
    now, called = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def spend(name, seconds):
        called.append(name)
        now[0] += seconds

    both = {"quick": lambda: spend("quick", 0.25), "slow": lambda: spend("slow", 2.0)}
    seconds = timed_rounds(both, rounds=2, warmup=1, at_least=1.0)
    assert called == ["quick"] * 4 + ["slow"] + (["quick"] * 4 + ["slow"]) * 2
    assert seconds == {"quick": [0.25, 0.25], "slow": [2.0, 2.0]}


def test_ratios_are_taken_round_by_round():
    assert ratio([2.0, 30.0, 8.0, 20.0, 50.0], [1.0, 10.0, 2.0, 4.0, 10.0]) == Ratio(4.0, 3.0, 5.0)


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


def test_features_are_compared_in_every_form(monkeypatch, capsys):
    forms = {"slow": lambda x: x.flatten(1), "fast": lambda x: x.flatten(1) + 1e-3}
    monkeypatch.setattr(features, "alternatives", lambda: forms)
    features.run(rounds=2)
    out = capsys.readouterr().out
    assert "| slow | 1.00 (1.00 to 1.00) | 0.0e+00 |" in out and "| 1.0e-03 |" in out

    def none():
        raise NetworkMissing("there is no network here")

    monkeypatch.setattr(features, "alternatives", none)
    features.run()
    assert capsys.readouterr().out == "features: there is no network here\n"


def test_precision_compares_each_way_with_the_first():
    torch.manual_seed(0)
    teacher = EDM(UNetConfig(resolution=8, base=8, multipliers=(1,), blocks=1, attention=(), embedding=16)).eval()
    torch.nn.init.normal_(teacher.net.decoder.conv.weight, std=0.1)
    whole, half, fewer, both = precision.measure(teacher, range(3))
    assert whole.psnr is None and whole.ratio.median == 1
    assert float(half.psnr.min()) > 40 and fewer.steps == both.steps == 12 and len(both.psnr) == 3
    assert torch.isfinite(fewer.psnr).all()


def test_an_example_meets_its_target_by_median_and_questions(monkeypatch, capsys):
    """The first round warms up; one slow click of three passes, one question too many does not."""
    answers = {}

    def click(browser, url, example):
        number = answers[example.key] = answers.get(example.key, -1) + 1
        seconds, questions = [(9.0, 9), (0.5, 3), (3.0, 3), (0.7, 4)][number]
        if example is examples.EXAMPLES[1]:
            questions += 3
        return (seconds + 2 if example is examples.EXAMPLES[2] else seconds), questions

    monkeypatch.setattr(examples, "_click", click)
    examples.clicks(None, "")
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][2:]
    assert [row[-1].rstrip(" |") for row in rows[:3]] == ["yes", "no", "no"] and len(rows) == len(examples.EXAMPLES)
    assert rows[0][1:5] == ["0.70", "0.50", "3.00", "4"]
