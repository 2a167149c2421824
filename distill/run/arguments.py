"""The arguments of `distill.train` and `distill.finish` on their way to a config."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

import students
from distill import config, data
from distill.config import answering, finishing, reader, roles, writer, yaml_tree
from distill.data import given
from distill.run.folder import GIVEN
from distill.run.own import parts
from distill.runtime import errors, files, hashes, progress
from distill.runtime.process import launch
from distill.runtime.process.command import did_you_mean

_NETWORKS = ("teacher", "student", "model")
# A dict with one of these keys is a part of a config, and one without holds examples.
_KEYS = ("name", "network", "file", *answering.FORMS)


class Arguments:
    """A config, and what replaces parts of it: plain data, examples, networks.

    Args:
        kind: The class of the config, `config.Run` or `finishing.Finishing`.
        source: The config: a path, the name of a shipped one, its content, an instance
            of `kind`, or None.
        overrides: Assignments as for `--set`.
        options: Top-level options by name; those that are None are left as they are.
            Beside them `unlabelled`: images as for `given.save_unlabelled`.

    Attributes:
        file: The path in `source`, or None.
        keywords: The options that are plain data, as such.
        overrides: The assignments.

    Raises:
        ConfigError: If there is no such option.
    """

    def __init__(
        self,
        kind: type,
        source: Any,
        overrides: Sequence[str],
        options: Mapping[str, Any],
    ):
        options = dict(options)
        self._unlabelled = options.pop("unlabelled", None)
        _check_names(kind, options)
        options = {key: value for key, value in options.items() if value is not None}
        given = {
            key: options.pop(key)
            for key in ("data", *_NETWORKS)
            if key in options and not _is_plain(options[key])
        }
        self._kind = kind
        self._examples = given.pop("data", None)
        self._networks = given
        is_path = isinstance(source, str | os.PathLike)
        if not (source is None or is_path or isinstance(source, Mapping | kind)):
            raise errors.ConfigError(
                "`source` must be a file, a dict or a config; data and networks are "
                f"keywords. Received: {type(source).__name__}"
            )
        self.file = pathlib.Path(source) if is_path else None
        self._source = self.file or writer.plain_value(source or {})
        self.overrides = list(overrides)
        self.keywords = _expanded(writer.plain_value(options))
        self._parsed: yaml.MappingNode | None = None

    def read(self) -> Any:
        """Reads the config; after `save`.

        Raises:
            ConfigError: See `reader.read`.
        """
        return reader.fill(self._kind, self._source, self._tree())

    def save(self, folder: pathlib.Path | None, only_data: bool = False) -> None:
        """Writes examples and networks into the run's folder, and names their files.

        Args:
            folder: The run's folder, made if there is something to write; None for a
                temporary one.
            only_data: Whether networks of the user's Python are left as they are.

        Raises:
            ConfigError: If a network cannot be saved, or of several processes.
            DataError, WriteError: See `given.save`.
            FolderBusy: If another process uses the folder.
        """
        for role, network in self._networks.items():
            self._keras().check(network, role)
        own = parts.uncalled(self._tree(), only_data or self._kind is not config.Run)
        parts.require_permission(self._kind, self._tree(), own, folder)
        others = (self._examples, self._unlabelled, *self._networks.values())
        if all(part is None for part in others) and not own:
            return
        if launch.launch(os.environ) is not None:
            raise errors.ConfigError(
                "a run in several processes must take data and networks from files, as "
                "in YAML. Received: the examples or networks themselves"
            )
        folder = folder or files.temporary_folder()
        with files.lock(folder):
            place = folder.resolve() / GIVEN
            place.mkdir(exist_ok=True)
            self._save_examples(place)
            if own:
                called = parts.call(self._kind, self._tree(), place, only_data)
                self._replace({}, called)
            if self._networks:
                self._save_networks(place)

    def _save_examples(self, place):
        """Writes the examples that were given, and names their files in the config."""
        if self._examples is not None:
            with progress.step("data", "reading what was given, once"):
                path = given.save(self._examples, place)
            part = {"name": "array_folder", "options": given.options(path)}
            self._replace({"data": part})
        if self._unlabelled is not None:
            file = yaml_tree.flow(str(given.save_unlabelled(self._unlabelled, place)))
            self._replace({}, [f"data.options.unlabelled={{path: {file}}}"])

    @staticmethod
    def _keras():
        """The module that saves networks; it imports Keras."""
        from distill.teach import given as networks

        return networks

    def _save_networks(self, place):
        dataset = reader.read_part(self._kind, self._tree(), "data")
        if dataset is None:
            raise errors.ConfigError("missing key `data`")
        for role, network in self._networks.items():
            path = self._keras().save(network, role, place, dataset.input_shape)
            self._name_file(role, path, network)

    def _tree(self):
        """The tree of the config, read again only after a part was replaced."""
        if self._parsed is None:
            self._parsed = reader.tree(self._source, self.overrides, self.keywords)
        return self._parsed

    def _replace(self, keywords, overrides=()):
        """Replaces parts of the config; see `reader.read`."""
        self.keywords |= keywords
        self.overrides += overrides
        self._parsed = None

    def _name_file(self, role, path, network):
        """Names the file of a network in the config."""
        file = {"sha256": hashes.file_hash(path)}
        if role == "student":
            options = {"path": str(path), **file}
            self._replace({role: {"name": "keras_file", "options": options}})
        elif self._kind is finishing.Finishing:
            pin = "sha256" if role == "model" else "teacher_sha256"
            self._replace({role: str(path), pin: file["sha256"]})
        else:
            file["file"] = str(path)
            output = getattr(network, "output", None)
            if not isinstance(output, dict) or "logits" not in output:
                file["sections"] = "auto"
            # Not the teacher as a whole: the config's `cache` stays.
            assignments = (f"teacher.{k}={yaml_tree.flow(v)}" for k, v in file.items())
            self._replace({}, assignments)


def read_config(
    kind: type,
    source: Any,
    overrides: Sequence[str] = (),
    folder: pathlib.Path | None = None,
    only_data: bool = False,
) -> Any:
    """Reads a config after its Python, if it has any, has been called.

    Args:
        kind: As for `reader.read`.
        source: As for `reader.read`.
        overrides: As for `reader.read`.
        folder: See `Arguments.save`.
        only_data: See `Arguments.save`.

    Raises:
        ConfigError, DataError: See `Arguments.save` and `reader.read`.
    """
    given = Arguments(kind, source, overrides, {})
    given.save(folder, only_data)
    return given.read()


def read_for_model(
    source: str,
    model: pathlib.Path | None,
    overrides: Sequence[str] = (),
    only_data: bool = False,
) -> Any:
    """Reads the config of a run, or of a finish with its `model` replaced.

    Args:
        source: As for `reader.read`.
        model: The model file at hand; None replaces nothing.
        overrides: As for `reader.read`.
        only_data: See `Arguments.save`.
    """
    kind = finishing.config_class(source)
    if model is not None and kind is finishing.Finishing:
        overrides = [*overrides, f"model={json.dumps(str(model))}"]
    return read_config(kind, source, overrides, only_data=only_data)


def _check_names(kind, options):
    known = {field.name for field in dataclasses.fields(kind)}
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known)
            raise errors.ConfigError(f"unknown keyword `{name}`.{hint}")


def _is_plain(value):
    """Whether an argument is as in a config, and no examples or network themselves."""
    if isinstance(value, Mapping):
        return any(key in value for key in _KEYS)
    parts = data.Dataset, students.Network, roles.Teacher, str, os.PathLike
    return isinstance(value, parts)


def _expanded(keywords):
    """Puts a part with default options where its name stands alone."""
    if isinstance(keywords.get("finish"), list):
        keywords["finish"] = [_part(value) for value in keywords["finish"]]
    if "student" in keywords:
        keywords["student"] = _part(keywords["student"])
    return keywords


def _part(value):
    return {"name": value} if isinstance(value, str) else value
