"""Texts -> ids of fixed length, by a tokenizer that others can read too.

Each kind makes a `tokenizers.Tokenizer`, the library's own form: what it writes as
`tokenizer.json` makes the inputs of an exported file in any language that reads it.
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
    """What all share: a text is cut, or filled up with the id 0, at its end.

    Attributes:
        length: Ids in every text.
        vocabulary: Number of different ids, the padding's too.

    Raises:
        ValueError: If an option is out of its range.
    """

    vocabulary: ClassVar[Any]

    length: int

    def __post_init__(self):
        """Refuses texts without ids."""
        if self.length < 1:
            raise ValueError(f"`length` must be at least 1. Received: {self.length}")

    def fitted(self, texts: Sequence[str]) -> "tokenizers.Tokenizer":
        """The tokenizer, learned from training texts where there is something to learn.

        The same texts in the same order make the same tokenizer.
        """
        tokenizer = self._fitted(texts)
        tokenizer.enable_truncation(self.length)
        tokenizer.enable_padding(length=self.length, pad_id=0, pad_token=PADDING)
        return tokenizer

    def _fitted(self, texts):
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bytes(Tokenizer):
    """The bytes of a text in UTF-8, each plus 1."""

    vocabulary: ClassVar[int] = 257

    def _fitted(self, texts):
        import tokenizers
        from tokenizers import decoders, models, pre_tokenizers

        vocabulary = {PADDING: 0}
        vocabulary |= {sign: 1 + byte for byte, sign in enumerate(_signs())}
        tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
            add_prefix_space=False, use_regex=False
        )
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Characters(Tokenizer):
    """The characters of a text: 1 plus the place in the alphabet; all others share one.

    Attributes:
        alphabet: Characters with an id of their own.
        lowercase: Whether capitals are made small first.

    Source:
        Conneau et al., "Very Deep Convolutional Networks for Text Classification",
        EACL 2017, section 4.2: 69 ids and texts of 1014. Its print shows no `_`,
        without which there would be 68.
    """

    alphabet: str = (
        "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/|_#$%^&*~`+=<>()[]{} "
    )
    lowercase: bool = True

    def __post_init__(self):
        """Refuses an alphabet that says something twice, or nothing."""
        super().__post_init__()
        if not 0 < len(set(self.alphabet)) == len(self.alphabet):
            raise ValueError(
                "`alphabet` must be of different characters, at least one. "
                f"Received: {self.alphabet!r}"
            )

    @property
    def vocabulary(self):
        """The alphabet, padding, and all other characters."""
        return len(self.alphabet) + 2

    def _fitted(self, texts):
        import tokenizers
        from tokenizers import decoders, models, normalizers, pre_tokenizers

        signs = [PADDING, *self.alphabet, UNKNOWN]
        vocabulary = {sign: index for index, sign in enumerate(signs)}
        tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, UNKNOWN))
        if self.lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        every = tokenizers.Regex(r"(?m:.)")  # Here, a line's end is one too.
        tokenizer.pre_tokenizer = pre_tokenizers.Split(every, "isolated")
        tokenizer.decoder = decoders.Fuse()
        return tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordPieces(Tokenizer):
    """Frequent words whole, others in pieces: byte-pair encoding of the training texts.

    It begins with all bytes, so that no text has anything unknown.

    Attributes:
        vocabulary: Number of different ids: the padding, 256 bytes and the pieces.
            Few texts may have fewer.
        lowercase: Whether capitals are made small first.

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

    def _fitted(self, texts):
        import tokenizers
        from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

        tokenizer = tokenizers.Tokenizer(models.BPE())
        if self.lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        # The library's WordPiece learns other pieces each time, this does not.
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary,
            special_tokens=[PADDING],
            initial_alphabet=_signs(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer


TOKENIZERS = {"bytes": Bytes, "characters": Characters, "word_pieces": WordPieces}


def ids(tokenizer: "tokenizers.Tokenizer", texts: Sequence[str]) -> np.ndarray:
    """What a network sees of texts.

    Args:
        tokenizer: As `Tokenizer.fitted` made it.
        texts: At least one.

    Returns:
        int32, `(n, length)`.
    """
    found = np.empty((len(texts), tokenizer.padding["length"]), np.int32)
    for start in range(0, len(texts), _AT_ONCE):
        batch = list(texts[start : start + _AT_ONCE])
        made = tokenizer.encode_batch_fast(batch)
        found[start : start + len(batch)] = [encoding.ids for encoding in made]
    return found


def read(tokenizer: "tokenizers.Tokenizer", row: np.ndarray) -> str:
    """Ids as people read them, on one line; what was cut or unknown stays so.

    Args:
        tokenizer: As `Tokenizer.fitted` made it.
        row: `(length,)`.
    """
    return " ".join(tokenizer.decode(row[row > 0].tolist()).split())


_AT_ONCE = 4096  # Texts; what the library makes of one takes many times its ids.


def _signs():
    """The character that stands for each byte, in the library's byte-level form."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in shown else next(others)) for byte in range(256)]
