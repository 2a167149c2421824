"""A curve joins learners that differ in the share of made examples alone."""

import pytest

from distill import config
from distill.report.charts import lines, synthetic_share

RUN = """
data: {name: digits}
teacher: {network: {name: lenet}, stages: [{trainer: {name: supervised}, epochs: 1}]}
generator: {network: {name: conv}, discriminator: {name: conv}, epochs: 1}
student: {name: lenet}
stages: [{trainer: {name: kd}, epochs: 4, synthetic: {name: gan, options: {p_fake: 1}}}]
controls:
"""
STAGE = "{{trainer: {{name: kd}}, epochs: 4{more}}}"


def run(tmp_path, **controls):
    lines = [
        f"  - {{name: {name}, stages: [{STAGE.format(more=more)}]}}\n"
        for name, more in controls.items()
    ]
    path = tmp_path / "run.yaml"
    path.write_text(RUN + "".join(lines))
    return config.plain(config.load(path))


def synthetic(source, share, **options):
    text = ", ".join(f"{k}: {v}" for k, v in {"p_fake": share, **options}.items())
    return f", synthetic: {{name: {source}, options: {{{text}}}}}"


def test_learners_of_one_kind_make_a_curve_with_the_real_one_at_zero(tmp_path):
    plain = run(
        tmp_path,
        half=synthetic("gan", 0.5),
        real="",
        other_rate=synthetic("gan", 0.2) + ", learning_rate: 0.3",
        filtered=synthetic("gan", 0.3, min_confidence=0.9),
        munged=synthetic("munge", 0.5),
    )
    accuracy = {"student": 70.0, "half": 90.0, "real": 80.0, "munged": 1.0}
    accuracy |= {"other_rate": 2.0, "filtered": 3.0}
    curves = synthetic_share.curves(plain, accuracy.__getitem__)
    assert curves == {"gan": [(0.0, 80.0), (0.5, 90.0), (1.0, 70.0)]}
    chart = lines.shares(curves, 360, 200)
    (line,) = chart["lines"]["gan"]
    ends = chart["box"]["left"], chart["box"]["right"]
    assert [line[0][0], line[-1][0]] == pytest.approx(ends)
    assert line[1][1] < line[0][1] < line[2][1]  # Higher is better.


def test_sources_of_one_name_keep_their_curves_apart(tmp_path):
    confident = {"min_confidence": 0.9}
    plain = run(
        tmp_path,
        real="",
        half=synthetic("gan", 0.5),
        sure_half=synthetic("gan", 0.5, **confident),
        sure_all=synthetic("gan", 1, **confident),
    )
    curves = synthetic_share.curves(plain, lambda name: float(len(name)))
    assert [points for _, points in sorted(curves.items())] == [
        [(0.0, 4.0), (0.5, 4.0), (1.0, 7.0)],
        [(0.0, 4.0), (0.5, 9.0), (1.0, 8.0)],
    ]
    assert all("min_confidence" in label for label in curves)


def test_a_learner_that_mixes_shares_is_on_no_curve(tmp_path):
    plain = run(tmp_path, real="", half=synthetic("gan", 0.5))
    both = [*plain["controls"][0]["stages"], *plain["controls"][1]["stages"]]
    plain["controls"].append({"name": "both", "stages": both})
    curves = synthetic_share.curves(plain, lambda name: float(len(name)))
    assert curves == {"gan": [(0.0, 4.0), (0.5, 4.0), (1.0, 7.0)]}


def test_two_shares_are_no_curve(tmp_path):
    assert synthetic_share.curves(run(tmp_path, real=""), lambda name: 90.0) == {}
