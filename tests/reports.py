"""Reports made up for tests: of any classes, stages and files."""

import html as markup
import html.parser

import numpy as np

from distill.report import page as report_page

NAMES = ["float32", "float16", "dynamic_int8", "int8", "pruned", "pruned_int8"]
TERMS = {
    "supervised": ["task_loss", "regularization_loss"],
    "kd": ["task_loss", "regularization_loss", "kd_loss"],
    "lit": [
        *["task_loss", "regularization_loss", "kd_loss"],
        *["section1_loss", "section2_loss", "section3_loss"],
    ],
}


def curve(first, last, epochs):
    """A decay with a little noise, one value an epoch."""
    rng = np.random.default_rng(round(1000 * first))
    share = np.linspace(1, 0, epochs) ** 2
    return [
        float(last + (first - last) * s + 0.02 * last * n)
        for s, n in zip(share, rng.normal(size=epochs), strict=True)
    ]


def stage(model, name, epochs, finisher=None):
    """A record of training, as `distill.teach.stages` and `distill.finish` make it."""
    terms = TERMS[name]
    metrics = {"accuracy": curve(0.5, 0.985, epochs), "loss": curve(2.1, 0.06, epochs)}
    metrics |= {
        t: curve(0.9 / (i + 1), 0.02 / (i + 1), epochs) for i, t in enumerate(terms)
    }
    metrics |= {f"val_{name}": values for name, values in metrics.items()}
    metrics["val_accuracy"] = curve(0.42, 0.972, epochs)
    metrics["learning_rate"] = list(np.cos(np.linspace(0, np.pi, epochs)) * 0.05 + 0.05)
    metrics["examples_per_second"] = curve(900, 5200, epochs)
    return {
        "model": model,
        "name": finisher or name,
        "epochs": epochs,
        "seconds": 1.7 * epochs,
        "examples_per_second": 4321.0,
        "metrics": metrics,
    }


# The input of a file, as `report.json` has it.
TAKES = [{"dtype": "float32", "shape": [1, 8, 8, 1], "scale": None, "zero_point": None}]


def model(name, accuracy, size, latency=None, failed=(), classes=10, zeros=0.0):
    """A model as `distill.run.evaluation.gather` measures it."""
    teacher = name.startswith("teacher")
    rng = np.random.default_rng(size)
    return {
        "name": name,
        "file": name + (".keras" if latency is None else ".tflite"),
        "parameters": 175_258 if teacher else 40_826,
        "macs": 2_617_472 if teacher else 546_944,
        "uncounted": [],
        "test_examples": 360,
        "accuracy": accuracy,
        "validation_accuracy": accuracy + 0.2,
        "agreement_with_teacher": 100.0 if teacher else accuracy - 0.31,
        "per_class_accuracy": [
            float(v) for v in np.clip(accuracy + rng.normal(0, 2, classes), 0, 100)
        ],
        "bytes": size,
        "gzip_bytes": int(size * 0.88),
        "packed_bytes": int(size * 0.81),
        "latency_ms": latency
        and {
            "median": latency,
            "low": latency * 0.98,
            "high": latency * 1.02,
            "p90": latency * 1.2,
            "threads": 1,
            "runs": 200,
            "machine": "Some CPU, 2 cores, Linux",
        },
        "latency_all_threads_ms": None,
        "sparsity": zeros,
        "failed": list(failed),
    }


def make(classes=10):
    """A run with a teacher, three stages, a control, six variants, one failed."""
    why = "accuracy 95.10 % is 3.23 points below the student's"
    zeros = {"pruned": 0.801, "pruned_int8": 0.8}
    variants = [
        (98.33, 168_204, 0.061, ()),
        (98.33, 90_412, 0.063, ()),
        (98.06, 57_800, 0.052, ()),
        (97.78, 58_648, 0.034, ()),
        (97.50, 71_112, 0.055, ()),
        (95.10, 41_960, 0.035, [why]),
    ]
    models = [
        model("teacher", 98.89, 812_345, classes=classes),
        model("student", 98.33, 240_112, classes=classes),
        model("control", 96.94, 240_160, classes=classes),
        model("teacher.float32", 98.89, 712_345, 0.213, classes=classes),
        *(
            model(f"student.{name}", a, b, c, failed, classes, zeros.get(name, 0.0))
            for name, (a, b, c, failed) in zip(NAMES, variants, strict=True)
        ),
    ]
    return {
        "run": {
            "data": {"name": "digits", "options": {"train_examples": None}},
            "augmentation": {"shift": 1, "flip": False},
            "batch_size": 32,
            "seed": 0,
            "student": {"name": "resnet", "options": {"depth": 8, "width": 16}},
            "stages": [
                {"trainer": {"name": name, "options": {}}, "epochs": epochs}
                for name, epochs in (("lit", 8), ("kd", 12), ("supervised", 4))
            ],
            "controls": [{"name": "control", "stages": []}],
            "finish": [{"name": name, "options": {}} for name in NAMES],
            "max_accuracy_drop": 1.0,
        },
        "versions": {"distill": "0.1.0", "keras": "3.15.1", "tensorflow": "2.21.0"},
        "machine": "Some CPU, 2 cores, Linux",
        "peak_memory_bytes": {"training": 1_500_000_000, "finishing": 900_000_000},
        "data": {
            "name": "digits",
            "class_names": [str(index) for index in range(classes)],
            "train": 1293,
            "validation": 144,
            "test": 360,
            "fingerprint": "0f" * 32,
            "kind": "images",
            "input_shape": [8, 8, 1],
        },
        "models": models,
        "stitched": [
            {"section": "section1", "teacher_first": 91.25, "student_first": 97.5},
            {"section": "section2", "teacher_first": 96.75, "student_first": 88.5},
        ],
        "stages": [
            stage("teacher", "supervised", 30),
            stage("student", "lit", 8),
            stage("student", "kd", 12),
            stage("student", "supervised", 4),
            stage("control", "supervised", 24),
            {
                **stage("student.float32", "kd", 1),
                **{"name": "float32", "epochs": 0, "seconds": 2.1, "metrics": {}},
            },
            stage("student.int8", "kd", 4, "int8"),
            stage("student.pruned", "kd", 10, "pruned"),
            stage("student.pruned_int8", "kd", 4, "pruned_int8"),
        ],
        "warnings": ["The student is no better than control: here it brought nothing"],
        "failures": [f"student.pruned_int8: {why}"],
    }


def make_wrong(count=7):
    """What `distill.run.evaluation.gather` says of the images that were missed."""
    images = np.random.default_rng(0).random((count, 8, 8, 1))
    return [(image, "3", "8", "3") for image in images]


def page(report_, wrong=()):
    return markup.unescape(report_page.html(report_, wrong))
