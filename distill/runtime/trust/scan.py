"""Searches a foreign model file without any reader of its own.

Members, sizes, hash, and an allow-list of layers: what is refused here never
reaches Keras. Formats that are code are refused by name.
"""

import json
import pathlib
import zipfile

from distill.runtime import errors, hashes
from distill.runtime.trust.allowed import allowed
from distill.runtime.trust.bare import bare

_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
_LARGEST = 4 << 30  # Bytes that a foreign file may declare.
_LARGEST_CONFIG = 64 << 20
_CODE = (
    "It may run code when it is opened: open it where you trust it and write "
    "`keras.models.load_model(...).save('model.keras')`"
)

_EXPORT = "`python -m distill.export` makes one of a .keras file"
_ELSE = (
    "put layers that Keras has in its place and keep the weights: docs/given.md "
    "shows how"
)
_QUANTIZED = (
    "{path} has layers that Keras has quantized ({policy}): give the network as it was "
    "before `model.quantize`"
)


def members(path: pathlib.Path, sha256: str | None = None) -> dict[str, bytes]:
    """Searches a foreign `.keras` file, without opening it as a model.

    Args:
        path: The file.
        sha256: What its bytes must hash to, if that is known.

    Returns:
        Name of each member to its content; what only training needs is left out.

    Raises:
        Untrusted: Says what was found, and the way out.
    """
    check_kind(path, ".keras")
    check_hash(path, sha256)
    try:
        with zipfile.ZipFile(path) as archive:
            found = _members(path, archive)
    except errors.Untrusted:
        raise
    except Exception as error:  # A damaged archive raises whatever it likes.
        raise errors.Untrusted(f"{path} is no whole .keras file: {error}") from None
    try:
        config = bare(json.loads(found["config.json"]))
        _check_config(path, config)
    except (ValueError, TypeError, RecursionError) as error:
        raise errors.Untrusted(
            f"{path}: its config.json cannot be read: {error}"
        ) from None
    found["config.json"] = json.dumps(config).encode()
    return found


def check_kind(path: pathlib.Path, *suffixes: str) -> None:
    """Refuses a file that is not of one of the formats that are no code.

    Raises:
        Untrusted: Names the way out.
    """
    if path.is_dir():
        raise errors.Untrusted(f"{path} is a folder, perhaps a SavedModel. {_CODE}")
    if path.suffix not in suffixes:
        cure = _CODE if ".keras" in suffixes else _EXPORT
        raise errors.Untrusted(f"{path} is not a {' or '.join(suffixes)} file. {cure}")


def check_hash(path: pathlib.Path, sha256: str | None) -> None:
    """Refuses a file whose bytes are not those that were pinned.

    Raises:
        Untrusted: Says both hashes.
    """
    if sha256 is not None and hashes.file_hash(path) != sha256.lower():
        raise errors.Untrusted(
            f"{path} has SHA-256 {hashes.file_hash(path)}, expected {sha256}: it is "
            "another file, or it was changed"
        )


def _members(path, archive):
    """The members of a `.keras` file, all three and no other, whole."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if sorted(names) != sorted(_MEMBERS):
        odd = sorted(set(names) ^ set(_MEMBERS)) or names
        raise errors.Untrusted(f"{path}: unexpected or missing members: {odd[:5]}")
    size = path.stat().st_size
    for info in infos:
        # Others unpack without a bound on what comes out at once.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise errors.Untrusted(
                f"{path}: {info.filename} is packed in an unusual way"
            )
        most = _LARGEST_CONFIG if info.filename.endswith(".json") else _LARGEST
        if info.file_size > min(most, 1000 * size):
            raise errors.Untrusted(
                f"{path}: {info.filename} claims {info.file_size:,} bytes, the file "
                f"has {size:,}"
            )
    return {info.filename: _content(path, archive, info) for info in infos}


def _content(path, archive, info):
    """A member, unpacked no further than the size it claims."""
    with archive.open(info) as member:
        content = member.read(info.file_size)
        if len(content) != info.file_size or member.read(1):
            raise errors.Untrusted(
                f"{path}: {info.filename} has not the size it claims"
            )
    return content


def _check_config(path, node, depth=0):
    """Every class must be a known one, every name a plain one."""
    if isinstance(node, list):
        for item in node:
            _check_config(path, item, depth + 1)
        return
    if not isinstance(node, dict):
        return
    if "class_name" in node:
        _check_class(path, node)
    elif depth == 0:
        raise errors.Untrusted(f"{path}: its config.json describes no model")
    _check_names(path, node)
    for value in node.values():
        _check_config(path, value, depth + 1)


def _check_names(path, node):
    name, policy = node.get("name"), node.get("dtype")
    if isinstance(name, str) and (".." in name or "\\" in name or name[:1] == "/"):
        raise errors.Untrusted(f"{path}: a layer is named {name!r}, like a path")
    if isinstance(policy, str) and "_from_" in policy:
        raise errors.Untrusted(_QUANTIZED.format(path=path, policy=policy))


def _check_class(path, node):
    if allowed(node):
        return
    name = node.get("class_name")
    if str(name).endswith(("DTypePolicy", "DTypePolicyMap")):
        raise errors.Untrusted(_QUANTIZED.format(path=path, policy=name))
    registered = node.get("registered_name") or "not registered"
    raise errors.Untrusted(
        f"{path} uses {node.get('module')}.{name} ({registered}), which is none of the "
        f"built-in layers that only compute: {_ELSE}"
    )
