"""Texts: read row by row, encoded as ids of one length, classified by a VDCNN."""

import dataclasses
import gzip
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import students
from distill import config, data
from distill.data import tokens
from distill.runtime import errors

TEXTS = ["good film", "a BAD film !", "good good", "bad, bad: ünd \n so on"]


def text_file(path, rows, header="text,label"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return data.DATASETS["text_file"](
        train=str(path), tokenizer=tokens.Bytes(length=8), validation_fraction=0.25
    )


def rows(count=40):
    """Of two classes that their first words tell apart."""
    words = np.random.default_rng(0).integers(0, 50, (count, 3))
    return [
        f"{('good', 'bad')[index % 2]} {' '.join(f'w{word}' for word in line)},"
        f"{('plus', 'minus')[index % 2]}"
        for index, line in enumerate(words)
    ]


# Rows.


def test_a_file_is_read_completely_and_its_labels_name_the_classes(tmp_path):
    dataset = text_file(tmp_path / "a.csv", rows())
    assert dataset.class_names == ("minus", "plus")
    assert dataset.input_shape == (8,)
    assert dataset.vocabulary == 257
    splits = dataset.load()
    parts = [splits.train, splits.validation, splits.test]
    assert sum(len(part.labels) for part in parts) == 40
    for part in parts:
        assert part.inputs.dtype == np.int32
        first = splits.decode(part.inputs)
        assert [line.startswith("good") for line in first] == list(part.labels == 1)
        assert np.shares_memory(part.floats(), part.inputs)
        assert part.floats().dtype == np.int32


def test_the_whole_texts_stay_beside_their_ids(tmp_path):
    splits = text_file(tmp_path / "a.csv", rows()).load()
    for part in splits.by_name().values():
        for chosen in (slice(None), np.arange(len(part.labels))[::-2]):
            taken = part.take(chosen)
            ids = tokens.encode(splits.tokenizer, taken.texts)
            np.testing.assert_array_equal(ids, taken.inputs)
            assert max(map(len, taken.texts)) > 8


def test_whole_numbers_as_labels_are_in_numerical_order(tmp_path):
    dataset = text_file(tmp_path / "a.csv", [f"x,{n}" for n in (10, 9, 2, 10)])
    assert dataset.class_names == ("2", "9", "10")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.tsv.gz"])
def test_every_file_type_gives_the_same_examples(name, tmp_path):
    quote, comma = '""hi"", she said', '"hi", she said'
    csv = f'label,text\n1,"{quote}"\n\n0,plain\n'
    tsv = f"label\ttext\n1\t{comma}\n\n0\tplain\n"
    content = (csv if ".csv" in name else tsv).encode("utf-8-sig")
    packed = gzip.compress(content) if name.endswith("gz") else content
    (tmp_path / name).write_bytes(packed)
    dataset = data.DATASETS["text_file"](
        train=str(tmp_path / name), tokenizer=tokens.Bytes(length=9)
    )
    parts = dataset._examples()
    assert list(parts.train.inputs) == [comma, "plain"]
    assert list(parts.train.labels) == [1, 0]
    assert list(parts.by_name()) == ["train"]


def load_error(path, content):
    path.write_bytes(content)
    dataset = data.DATASETS["text_file"](
        train=str(path), tokenizer=tokens.Bytes(length=9)
    )
    with pytest.raises(errors.DataError) as excinfo:
        dataset.load()
    assert "\n" not in str(excinfo.value)
    return str(excinfo.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,label\na,1\nb\nc,0\n", ":3: has 1 fields, the header 2"),
        (b"text,label\na,1\nb,0,c\n", ":3: has 3 fields"),
        (b'text,label\na,1\n"b,0\n', ":3: unexpected end of data"),
        (b'text,label\n"a\nb",1\n"b"c,0\n', ":4: ',' expected"),
        (b"text,label\na,1\n\xff,0\n", ":3: is not in UTF-8"),
        (
            b"words,label\na,1\n",
            ":1: the header must name the column `text`. Received: words",
        ),
        (b"", ":1: the header must name"),
        (b"text,label\na,1\nb,1\n", "at least two different labels. Received: 1"),
        (b"text,label\na,1\nb,\nc,0\n", ":3: empty label"),
        (b"text,label\na,1\nb, \nc,0\n", ":3: empty label"),
        (b"text,label\na,1\n\t ,0\n", ":3: empty text"),
        (
            b"text,label\na,yes\nb,no\nc,yes \n",
            ": labels must be clearly different. Received: 'yes' and 'yes ', diff",
        ),
        (
            b"text,label\na,yes\nb,no\nc,Yes\n",
            ": labels must be clearly different. Received: 'Yes' and 'yes', diff",
        ),
        (
            b"text,label\na,1\nb,0\nc,1.0\n",
            ": labels must be clearly different. Received: '1' and '1.0', diff",
        ),
        (
            b"text,label\na,1\nb,01\n",
            ": labels must be clearly different. Received: '01' and '1', diff",
        ),
        (b"text,label,label\na,1,2\n", ":1: the header must name the column `label` o"),
        (
            b"text,text,label\na,b,2\n",
            ":1: the header must name the column `text` once",
        ),
        (
            b"text;label\na;1\n",
            ":1: the header must name the column `text`, set apart by commas, no",
        ),
        (
            b"text\tlabel\na\t1\n",
            ":1: the header must name the column `text`, set apart by commas, not t",
        ),
        (b"text,label\na,1\nb\0,0\n", ":3: has a NUL byte"),
        ("text,label\na,1\n".encode("utf-16"), ":1: is not in UTF-8"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line_with_the_place(
    content, message, tmp_path
):
    assert f"a.csv{message}" in load_error(tmp_path / "a.csv", content).replace(
        ": `label` must have ", ""
    )


def test_a_text_may_be_longer_than_csvs_own_limit(tmp_path):
    long = "word " * 40_000
    lines = [f"{long}{index},{index % 2}" for index in range(20)]
    dataset = text_file(tmp_path / "a.csv", lines)
    parts = dataset._examples()
    assert [len(text) for text in parts.train.inputs[:2]] == [len(long) + 1] * 2
    assert parts.train.labels.tolist() == [0, 1] * 10


def test_examples_are_named_for_their_lines_and_a_validation_file_is_kept(tmp_path):
    (tmp_path / "valid.csv").write_text('text,label\n"a\nb",plus\nc,minus\n')
    dataset = text_file(tmp_path / "a.csv", rows(8))
    dataset = dataclasses.replace(dataset, validation=str(tmp_path / "valid.csv"))
    splits = dataset.load()
    assert list(splits.validation.names) == ["validation:3", "validation:4"]
    together = [*splits.train.names, *splits.test.names]
    assert sorted(together) == [f"train:{line}" for line in range(2, 10)]


def test_repeats_are_found_by_the_whole_text_not_the_truncated_one(tmp_path):
    dataset = text_file(
        tmp_path / "a.csv", [f"the same begin {line}" for line in rows()]
    )
    assert not dataset.load().warnings


def test_a_file_that_has_changed_is_read_again(tmp_path):
    dataset = text_file(tmp_path / "a.csv", rows())
    assert dataset.class_names == ("minus", "plus")
    text_file(tmp_path / "a.csv", [*rows(), *["more,third"] * 9])
    assert dataset.class_names == ("minus", "plus", "third")
    assert dataset.load().test.labels.max() == 2


def test_text_and_label_must_be_two_columns():
    with pytest.raises(ValueError, match="`label_column` must be another column"):
        data.DATASETS["text_file"](
            train="a.csv", text_column="label", tokenizer=tokens.Bytes(length=9)
        )


def test_a_wrong_gzip_file_and_a_missing_file_are_refused_in_one_line(tmp_path):
    assert "cannot be read" in load_error(tmp_path / "a.csv.gz", b"text,label\n")
    whole = gzip.compress(b"text,label\n" + b"a,1\nb,0\n" * 9999)
    assert "cannot be read" in load_error(tmp_path / "b.csv.gz", whole[:-20])
    (tmp_path / "b.csv.gz").unlink()
    dataset = data.DATASETS["text_file"](
        train=str(tmp_path / "b.csv.gz"), tokenizer=tokens.Bytes(length=9)
    )
    with pytest.raises(errors.DataError, match="No such file"):
        dataset.load()


def test_a_label_that_the_training_file_lacks_is_named(tmp_path):
    dataset = text_file(tmp_path / "a.csv", rows())
    (tmp_path / "test.csv").write_text("text,label\na,plus\nb,nought\n")
    with pytest.raises(
        errors.DataError, match=r"test\.csv:3: the label must.*'nought'"
    ):
        dataclasses.replace(dataset, test=str(tmp_path / "test.csv")).load()


def test_a_file_of_another_type_is_refused_by_name():
    with pytest.raises(ValueError, match=r"`test` must be a \.csv or \.tsv file"):
        data.DATASETS["text_file"](
            train="a.csv", test="a.json", tokenizer=tokens.Bytes(length=9)
        )


@pytest.mark.parametrize("name", ["imdb", "sst2"])
def test_the_error_of_a_missing_set_says_where_to_put_it(name, tmp_path, monkeypatch):
    monkeypatch.delenv("DISTILL_DATA", raising=False)
    kind = data.DATASETS[name]
    with pytest.raises(errors.DataError, match=f"Put {name}/train.*DISTILL_DATA"):
        kind().load()
    with pytest.raises(ValueError, match=f"`folder` must hold {name}/train"):
        kind(folder=str(tmp_path))


@pytest.mark.parametrize(("name", "examples"), [("imdb", 6000), ("sst2", 872)])
def test_the_real_set_is_complete(name, examples):
    folder = pathlib.Path(os.environ.get("DISTILL_DATA", ""))
    if not (folder / name).is_dir():
        pytest.skip(f"DISTILL_DATA names no folder with {name}")
    splits = data.DATASETS[name](train_examples=500).load()
    assert len(splits.test.labels) == examples
    assert 0.45 < splits.test.labels.mean() < 0.55
    assert len(splits.train.labels) + len(splits.validation.labels) == 500


# Ids.

TOKENIZERS = {
    "bytes": tokens.Bytes(length=12),
    "characters": tokens.Characters(length=12),
    "word_pieces": tokens.WordPieces(length=12, vocabulary=265),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_text_has_one_length_and_known_ids(name):
    part = TOKENIZERS[name]
    assert type(part) is tokens.TOKENIZERS[name]
    actual = tokens.encode(part.fit(TEXTS), [*TEXTS, "", "ʃ" * 99])
    assert actual.shape == (6, 12)
    assert actual.dtype == np.int32
    assert actual.min() >= 0
    assert actual.max() < part.vocabulary
    assert (actual[4] == 0).all()
    assert (actual[5] > 0).all()


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_written_tokenizer_makes_the_same_ids(name, tmp_path):
    import tokenizers

    tokenizer = TOKENIZERS[name].fit(TEXTS)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    read = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    expected = [read.encode(text).ids for text in TEXTS]
    np.testing.assert_array_equal(tokens.encode(tokenizer, TEXTS), expected)


def test_bytes_are_bytes_plus_1():
    content = bytes(byte for byte in range(256) if byte < 128).decode() + "üß€😀"
    part = tokens.Bytes(length=200)
    tokenizer = part.fit([])
    expected = [byte + 1 for byte in content.encode()]
    (actual,) = tokens.encode(tokenizer, [content])
    assert list(actual) == expected + [0] * (200 - len(expected))
    assert sorted(
        tokenizer.token_to_id(sign) for sign in tokens._byte_characters()
    ) == list(range(1, 257))


def test_characters_are_indices_in_the_alphabet():
    part = tokens.Characters(length=9)
    assert part.vocabulary == 69  # As the paper counts.
    (actual,) = tokens.encode(part.fit([]), ["aZ \n\nü_["])
    place = {sign: 1 + index for index, sign in enumerate(part.alphabet)}
    assert list(actual) == [1, 26, place[" "], 68, 68, 68, place["_"], place["["], 0]
    exact = tokens.Characters(length=2, alphabet="aZ", lowercase=False)
    assert tokens.encode(exact.fit([]), ["ZA"]).tolist() == [[2, 3]]


def test_word_pieces_are_learned_from_frequent_words_and_the_same_each_time():
    texts = ["wonderful acting"] * 9 + ["awful acting"] * 9
    part = tokens.WordPieces(length=4, vocabulary=290)
    tokenizer = part.fit(texts)
    np.testing.assert_array_equal(
        (tokens.encode(tokenizer, ["Wonderful acting", "awful"]) > 0).sum(1), [2, 1]
    )
    assert (
        tokens.decode(tokenizer, tokens.encode(tokenizer, texts)[0])
        == "wonderful acting"
    )
    code = (
        "import sys; sys.path.insert(0, '.'); from distill.data import tokens\n"
        f"part = tokens.WordPieces(length=4, vocabulary=290)\n"
        f"print(part.fit({texts!r}).to_str())"
    )
    again = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert again.stdout.strip() == tokenizer.to_str()


def test_the_vocabulary_is_learned_from_the_training_split_alone(tmp_path):
    dataset = text_file(tmp_path / "a.csv", rows())
    dataset = dataclasses.replace(
        dataset, tokenizer=tokens.WordPieces(length=9, vocabulary=300)
    )
    splits = dataset.load()
    plain = dataclasses.replace(dataset, tokenizer=tokens.Bytes(length=99)).load()
    texts = plain.decode(plain.train.inputs)
    assert splits.tokenizer.to_str() == dataset.tokenizer.fit(texts).to_str()
    everything = [text for _, text, _ in dataset._rows(tmp_path / "a.csv")]
    assert splits.tokenizer.to_str() != dataset.tokenizer.fit(everything).to_str()


def test_the_tokenizer_is_in_the_fingerprint(tmp_path):
    splits = text_file(tmp_path / "a.csv", rows()).load()
    other = tokens.Characters(length=8).fit([])
    changed = dataclasses.replace(splits, tokenizer=other)
    assert changed.fingerprint() != splits.fingerprint()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("bytes", {"length": 0}),
        ("characters", {"alphabet": "aa", "length": 1}),
        ("characters", {"alphabet": "", "length": 1}),
        ("word_pieces", {"vocabulary": 256, "length": 1}),
    ],
)
def test_options_out_of_range_are_refused_by_name(kind, options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        tokens.TOKENIZERS[kind](**options)


# Parts that take images are not given texts.


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("augmentation.shift=1", "`augmentation` must be one that takes texts"),
        (
            "finish=[{name: pruned, options: {input_keep: 0.5}}]",
            "`finish[0]` must be one that takes texts",
        ),
        ("student={name: resnet, options: {depth: 8}}", "`student` must be one that"),
        ("teacher.network={name: lenet}", "`teacher.network` must be one that takes"),
        (
            "stages.1.synthetic={name: mixup, options: {p_fake: 0.5}}",
            "`stages[1].synthetic` must be one that takes texts",
        ),
        (
            "stages.1.trainer={name: adversarial, options: {condition: input}}",
            "`stages[1].trainer` must be one that takes texts",
        ),
        (
            "generator={network: {name: dense}, discriminator: {name: dense}, "
            "epochs: 1}",
            "`generator` must be one that takes texts",
        ),
        ("data={name: digits}", "`teacher.network` must be one that takes images"),
        (
            "data.options.tokenizer.options.length=40",
            "`teacher.network`: `k` must be at most 5, the positions that a text of "
            "length 40 has in the last section. Received: 6",
        ),
        ("data.options.tokenizer.name=letters", "Expected one of: bytes, characters"),
    ],
)
def test_a_part_that_does_not_take_texts_is_refused_in_one_line(override, message):
    with pytest.raises(errors.ConfigError) as excinfo:
        config.load("lit_vdcnn_sst2.yaml", [override])
    assert message in str(excinfo.value)
    assert "\n" not in str(excinfo.value)


@pytest.mark.parametrize(
    "override",
    [
        "data.name=imdb",
        "stages.1.trainer={name: adversarial, options: {condition: label}}",
        "stages.0.trainer={name: lit_adversarial, options: {condition: input}}",
    ],
)
def test_a_part_that_takes_texts_is_accepted(override):
    config.load("lit_vdcnn_sst2.yaml", [override])


def test_a_benchmark_of_text_has_ids_of_the_vocabulary():
    from distill.studies.speed import steps

    run = config.load("lit_vdcnn_sst2.yaml")
    inputs, _ = steps.random_batch(run)
    assert inputs.dtype == np.int32
    assert inputs.min() >= 0
    assert inputs.max() < run.data.vocabulary


def test_the_rate_of_a_step_schedule_falls_by_its_factor():
    from distill.teach import learner

    run = config.load("lit_vdcnn_amazon.yaml")
    rate = learner.build_optimizer(run.stages[0], 10)._learning_rate
    expected = [0.01, 0.01, 0.005, 0.0025, 0.01 / 16]
    actual = [float(rate(step)) for step in (0, 30, 31, 61, 149)]
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


# The network.


@pytest.mark.parametrize(
    ("depth", "blocks"),
    [
        (9, (2, 2, 2, 2)),
        (17, (4, 4, 4, 4)),
        (29, (10, 10, 4, 4)),
        (49, (16, 16, 10, 6)),
    ],
)
def test_a_vdcnn_has_the_convolutions_of_the_paper(depth, blocks):
    import keras

    network = students.VDCNN(depth=depth, width=1, units=1).build((64,), 2, 69)

    def convolutions(layers):
        return [x for x in layers if isinstance(x, keras.layers.Conv2D)]

    sections = [network.get_layer(f"section{index}").layers for index in (1, 2, 3, 4)]
    assert tuple(len(convolutions(layers)) for layers in sections) == blocks
    hidden = 1  # The first dense layer is a convolution of the whole map.
    assert len(convolutions(network._flatten_layers())) == depth + hidden


def test_a_vdcnn_of_full_width_has_the_shapes_of_the_paper():
    shapes = students.VDCNN(depth=9).shapes((1014,))
    assert list(shapes.values()) == [
        (1014, 1, 64),
        (1014, 1, 64),
        (507, 1, 128),
        (254, 1, 256),
        (127, 1, 512),
    ]


def test_k_max_keeps_the_largest_of_each_channel_wherever_they_stand():
    """The head, in NumPy."""
    import keras

    options = students.VDCNN(depth=9, width=1, k=3, units=4)
    network = options.build((40,), 2, 9)
    ids = np.random.default_rng(0).integers(0, 9, (2, 40), "int32")
    outputs = network(ids, training=False)
    features = keras.ops.convert_to_numpy(outputs["section4"])[:, :, 0, :]
    largest = -np.sort(-features, axis=1)[:, :3]  # (batch, k, channels)
    dense = [network.get_layer(name) for name in ("dense1_conv", "dense2", "head")]
    weights = [layer.get_weights() for layer in dense]
    x = np.einsum("bkc,cku->bu", largest, weights[0][0][:, 0]) + weights[0][1]
    for kernel, bias in weights[1:]:
        x = np.maximum(x, 0) @ kernel + bias
    np.testing.assert_allclose(outputs["logits"], x, rtol=1e-4, atol=1e-5)


def test_names_in_a_file_do_not_depend_on_earlier_networks():
    def build():
        network = students.VDCNN(depth=9, width=1, k=1, units=1).build((8,), 2, 9)
        return json.loads(network.to_json())["config"]

    assert json.dumps(build()) == json.dumps(build())


# A whole run.


def test_a_run_on_texts_completes(tmp_path):
    """The shipped config, but for sizes: two commands, as a user gives them."""
    # Six epochs of integers: after one the ranges have not settled, which is told.
    lines = [row.replace(",", "\t") for row in rows(120)]
    (tmp_path / "a.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    options = {"train": str(tmp_path / "a.tsv")}
    tokenizer = {"name": "word_pieces", "options": {"length": 16, "vocabulary": 300}}
    network = "name: vdcnn, options: {depth: 9, width: 2, k: 2, units: 4}"
    data_part = {"name": "text_file", "options": {**options, "tokenizer": tokenizer}}
    overrides = [
        f"data={json.dumps(data_part)}",
        "batch_size=16",
        f"teacher.network={{{network}}}",
        f"student={{{network}}}",
        "teacher.stages.0.epochs=1",
        "stages.0.epochs=1",
        "stages.1.epochs=1",
        "controls=[]",
        "finish=[{name: float32}, {name: int8, options: {epochs: 6}}, "
        "{name: int8_calibrated, options: {io: int8}}]",
        "max_accuracy_drop=100",
    ]
    out = tmp_path / "runs" / "a"
    command = [sys.executable, "-m", "distill.train", "--out", str(out)]
    command += ["--config", "lit_vdcnn_sst2.yaml"]
    for override in overrides:
        command += ["--set", override]
    done = subprocess.run(
        command, cwd=pathlib.Path(__file__).parents[2], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((out / "report.json").read_text())
    names = {model["name"] for model in result["models"]}
    assert {"teacher", "student", "student.float32", "student.int8"} <= names
    assert result["data"]["kind"] == "texts"
    assert result["data"]["class_names"] == ["minus", "plus"]
    import tokenizers

    from distill.measure import interpreter

    shipped = tokenizers.Tokenizer.from_file(str(out / "tokenizer.json"))
    ids = np.array([shipped.encode("good w1 w2").ids], np.int32)
    assert interpreter.predict(out / "student.int8.tflite", ids).shape == (1, 2)
    from distill.measure import cost
    from distill.runtime.trust import loader, scan

    by_name = {model["name"]: model for model in result["models"]}
    ends = by_name["student.int8_calibrated"]
    assert [end["dtype"] for end in (*ends["takes"], *ends["gives"])] == [
        "int32",
        "int8",
    ]
    assert by_name["student.int8"]["gives"][0]["dtype"] == "float32"
    assert not ends["failed"] and not by_name["student.int8"]["failed"]
    card = (out / "MODEL_CARD.md").read_text()
    assert "16 int32 ids, which `tokenizer.json` makes of a text" in card
    assert (out / "labels.txt").read_text() == "minus\nplus\n"
    _, _, code = card.partition("```python\n")
    code, _, _ = code.partition("```")
    texts = ["good w1 w2", "w3", "bad"]
    told = subprocess.run(
        [sys.executable, "-c", code, *texts], cwd=out, capture_output=True, text=True
    )
    _, _, file = code.partition('Interpreter("')
    file, _, _ = file.partition('"')
    ids = np.array([shipped.encode(text).ids for text in texts], np.int32)
    classes = interpreter.predict(out / file, ids).argmax(-1)
    expected = [
        f"{t}\t{('minus', 'plus')[c]}" for t, c in zip(texts, classes, strict=True)
    ]
    assert told.stdout.splitlines() == expected, told.stderr
    counts = cost.count(loader.open_own(out / "student.keras"))
    assert counts.tables == 300 * 16
    total = counts.kernels + counts.channels + counts.tables
    assert by_name["student.float32"]["parameters"] == total
    scan.members(out / "student.keras")  # As `export` and `evaluate` search it.
    page = (out / "report.html").read_text()
    assert "test texts" in page
    assert "<img" not in page
