"""Tokenizers, which convert texts to ids of fixed length.

Each class makes a `tokenizers.Tokenizer` of the library of that name. Its file
`tokenizer.json` can be read in other languages too, to make the inputs of an exported
model.
"""

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

if typing.TYPE_CHECKING:
    import tokenizers

PADDING, UNKNOWN = "[PAD]", "[UNK]"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """The base of all tokenizers: truncates a text, or pads it with id 0, at its end.

    Attributes:
        length: Number of ids in every text.
        vocabulary: Number of different ids, including padding.

    Raises:
        ValueError: If an option is out of its range.
    """

    vocabulary: ClassVar[Any]

    length: int

    def __post_init__(self):
        """Refuses an empty length."""
        if self.length < 1:
            raise ValueError(f"`length` must be at least 1. Received: {self.length}")

    def fit(self, texts: Sequence[str]) -> "tokenizers.Tokenizer":
        """Makes the tokenizer, and fits it to training texts if it is learned.

        The same texts in the same order give the same tokenizer.
        """
        tokenizer = self._make(texts)
        # Part of the tokenizer, and so of its file: `encode` gives ids of one length.
        tokenizer.enable_truncation(self.length)
        tokenizer.enable_padding(length=self.length, pad_id=0, pad_token=PADDING)
        return tokenizer

    def _make(self, texts):
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bytes(Tokenizer):
    """The bytes of a text in UTF-8, each plus 1."""

    vocabulary: ClassVar[int] = 257

    def _make(self, texts):
        import tokenizers
        from tokenizers import decoders, models, pre_tokenizers

        vocabulary = {PADDING: 0}
        vocabulary |= {sign: 1 + byte for byte, sign in enumerate(_byte_characters())}
        # Without merges, byte-pair encoding leaves single bytes.
        tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
            add_prefix_space=False, use_regex=False
        )
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Characters(Tokenizer):
    """The characters of a text: 1 plus the index in the alphabet; others share one id.

    Attributes:
        alphabet: Characters with an id of their own.
        lowercase: Whether texts are converted to lower case first.

    Source:
        Conneau et al., "Very Deep Convolutional Networks for Text Classification",
        EACL 2017, section 4.2: 69 ids and texts of 1014. The `_` is not legible there,
        but without it there would be 68.
    """

    alphabet: str = (
        "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/|_#$%^&*~`+=<>()[]{} "
    )
    lowercase: bool = True

    def __post_init__(self):
        """Refuses an alphabet that is empty or repeats a character."""
        super().__post_init__()
        if not 0 < len(set(self.alphabet)) == len(self.alphabet):
            raise ValueError(
                "`alphabet` must be of different characters, at least one. "
                f"Received: {self.alphabet!r}"
            )

    @property
    def vocabulary(self):
        """One id for each character, for padding, and for all other characters."""
        return len(self.alphabet) + 2

    def _make(self, texts):
        import tokenizers
        from tokenizers import decoders, models, normalizers, pre_tokenizers

        characters = [PADDING, *self.alphabet, UNKNOWN]
        vocabulary = {sign: index for index, sign in enumerate(characters)}
        tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, UNKNOWN))
        if self.lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        # In Oniguruma, which the library uses, `m` lets a dot match a line break.
        every = tokenizers.Regex(r"(?m:.)")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(every, "isolated")
        tokenizer.decoder = decoders.Fuse()
        return tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordPieces(Tokenizer):
    """Frequent words whole, others in pieces: byte-pair encoding of the training texts.

    All bytes are in the vocabulary, so that every text can be encoded.

    Attributes:
        vocabulary: Number of different ids: padding, 256 bytes and the pieces. A small
            set of texts may have fewer.
        lowercase: Whether texts are converted to lower case first.

    Source:
        Sennrich et al., "Neural Machine Translation of Rare Words with Subword
        Units", ACL 2016, section 3.2; on bytes, as in Radford et al., 2019.
    """

    vocabulary: int = 4000
    lowercase: bool = True

    def __post_init__(self):
        """Refuses a vocabulary without room for the bytes."""
        super().__post_init__()
        if self.vocabulary < Bytes.vocabulary:
            raise ValueError(
                f"`vocabulary` must be at least {Bytes.vocabulary}: padding and all "
                f"bytes. Received: {self.vocabulary}"
            )

    def _make(self, texts):
        import tokenizers
        from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

        tokenizer = tokenizers.Tokenizer(models.BPE())
        if self.lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        # The library's trainer of WordPiece gives different pieces each time.
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary,
            special_tokens=[PADDING],
            initial_alphabet=_byte_characters(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer


TOKENIZERS = {"bytes": Bytes, "characters": Characters, "word_pieces": WordPieces}


def encode(tokenizer: "tokenizers.Tokenizer", texts: Sequence[str]) -> np.ndarray:
    """Encodes texts as ids.

    Args:
        tokenizer: As returned by `Tokenizer.fit`.
        texts: At least one.

    Returns:
        int32, `(n, length)`.
    """
    ids = np.empty((len(texts), tokenizer.padding["length"]), np.int32)
    for start in range(0, len(texts), _CHUNK):
        batch = list(texts[start : start + _CHUNK])
        encodings = tokenizer.encode_batch_fast(batch)
        ids[start : start + len(batch)] = [encoding.ids for encoding in encodings]
    return ids


def decode(tokenizer: "tokenizers.Tokenizer", row: np.ndarray) -> str:
    """Decodes ids to a text on one line, without what was truncated or unknown.

    Args:
        tokenizer: As returned by `Tokenizer.fit`.
        row: The ids of one text, `(length,)`.
    """
    # Id 0 is padding, which would be decoded as `[PAD]`.
    return " ".join(tokenizer.decode(row[row > 0].tolist()).split())


# Texts encoded at once: an `Encoding` takes many times the memory of its ids.
_CHUNK = 4096


def _byte_characters():
    """The character that stands for each byte in the library's `ByteLevel`.

    Source:
        `bytes_to_unicode` of GPT-2: printable characters stand for themselves, the
        other bytes get the characters from 256 on.
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
