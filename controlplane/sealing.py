"""Secrets in the store, encrypted: whoever reads the store, a backup or a log does not read them.

    1.<key>.<body>   key: first 8 hexadecimal digits of the key's SHA-256
                     body: base64url of 12 bytes nonce and the AES-256-GCM ciphertext

What a text is about (`credential:<id>`) is authenticated with it: a sealed text that somebody moves
to another record does not open there.

The keys stand in a file of the installation, one a line (base64url, 32 bytes); the first one seals,
all of them open, lines that begin with # are notes. `tidegate up` makes the file in its data
directory; a cluster mounts one and names it in `api.credentials_key_file`. The API seals, the
autoscaler opens, `tidegate credential rekey` seals anew.
"""

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from controlplane.model.people import Credential
from controlplane.model.sections import Settings

KEY_FILE: Final = "credentials.key"
"""In the data directory, where no setting names another file."""

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = "1"


class SealingError(Exception):
    """A secret cannot be sealed or opened; the message says why and what to do."""


class KeyRing:
    """The keys of an installation, the first of which seals."""

    def __init__(self, keys: Sequence[bytes], *, origin: str) -> None:
        """Prepare to seal and open.

        Args:
            keys: At least one, of `KEY_BYTES`.
            origin: Where they come from, for error messages.
        """
        self.ids: Final = tuple(key_id(key) for key in keys)
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._origin = origin

    def seal(self, secret: bytes, *, about: str) -> str:
        """Encrypt a secret of the record that `about` names."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        name = self.ids[0]
        body = nonce + self._ciphers[name].encrypt(nonce, secret, about.encode())
        return f"{_VERSION}.{name}.{base64.urlsafe_b64encode(body).decode()}"

    def open(self, sealed: str, *, about: str) -> bytes:
        """Decrypt what `seal` made for the same record.

        Raises:
            SealingError: The key is not here, or the text is damaged or another record's.
        """
        cipher = self._ciphers.get(sealing_key(sealed))
        if cipher is None:
            raise SealingError(
                f"It was encrypted with key {sealing_key(sealed) or 'unknown'}, which is not in"
                f" {self._origin}. Put that key back as a line of its own, or enter the values"
                " again."
            )
        try:
            body = base64.urlsafe_b64decode(sealed.rpartition(".")[2])
            return cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], about.encode())
        except (InvalidTag, ValueError) as exc:
            raise SealingError(
                "Its encrypted text is damaged, or was copied from elsewhere. Enter the values"
                " again."
            ) from exc


class KeyFile:
    """The keys in a file; read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._seen: tuple[int, int, int] | None = None
        self._ring: KeyRing | None = None

    def ring(self) -> KeyRing:
        """The keys as the file has them now.

        Raises:
            SealingError: It is not there, cannot be read, or holds no key.
        """
        try:
            found = self.path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if self._ring is None or seen != self._seen:
                origin = f"{self.path} (api.credentials_key_file)"
                self._ring = KeyRing(read_keys(self.path), origin=origin)
                self._seen = seen
        except OSError as exc:
            raise SealingError(
                f"The key file {self.path} cannot be read ({exc.strerror}). Restore it, or name"
                " another with api.credentials_key_file; `tidegate credential key` prints a new"
                " key."
            ) from exc
        return self._ring


def key_path(settings: Settings) -> Path:
    """Where the keys of an installation are."""
    if settings.api.credentials_key_file:
        return Path(settings.api.credentials_key_file).expanduser()
    return Path(settings.up.data_dir).expanduser() / KEY_FILE


def new_key() -> str:
    """A new random key, as a line of the file."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def key_id(key: bytes) -> str:
    """The name of a key in sealed texts; it tells nothing about the key."""
    return hashlib.sha256(key).hexdigest()[:8]


def sealing_key(sealed: str) -> str:
    """The id of the key that sealed a text; empty where it is no such text."""
    version, _, rest = sealed.partition(".")
    return rest.partition(".")[0] if version == _VERSION else ""


def read_keys(path: Path) -> list[bytes]:
    """The keys of a file, the sealing one first.

    Raises:
        OSError: It cannot be read.
        SealingError: A line is no key, or there is none.
    """
    keys = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        try:
            key = base64.urlsafe_b64decode(text)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise SealingError(
                f"Line {number} of the key file {path} (api.credentials_key_file) is no key:"
                " `tidegate credential key` prints one."
            )
        keys.append(key)
    if not keys:
        raise SealingError(
            f"The key file {path} (api.credentials_key_file) holds no key: add one that"
            " `tidegate credential key` prints."
        )
    return keys


def make_key_file(path: Path) -> bool:
    """Make the file with a new key, readable by its owner only; False: it was there.

    Raises:
        OSError: It cannot be made.
    """
    if path.exists():  # also where nothing can be made beside it
        return False
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(draft, new_key() + "\n")
        os.link(draft, path)  # whole or not at all, and never over another one
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def replace_keys(path: Path, keys: Sequence[bytes]) -> None:
    """Write the file anew, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(draft, "".join(f"{base64.urlsafe_b64encode(key).decode()}\n" for key in keys))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def seal_values(ring: KeyRing, credential_id: str, values: dict[str, str]) -> str:
    """Encrypt the values of a credential, by key."""
    return ring.seal(msgspec.json.encode(values), about=f"credential:{credential_id}")


def open_values(ring: KeyRing, credential: Credential) -> dict[str, str]:
    """The values of a credential, by key.

    Raises:
        SealingError: As `KeyRing.open`; the message names the credential.
    """
    try:
        opened = ring.open(credential.sealed, about=f"credential:{credential.id}")
    except SealingError as exc:
        raise SealingError(
            f"Credential {credential.name!r} ({credential.id}) cannot be opened. {exc}"
        ) from exc
    return msgspec.json.decode(opened, type=dict[str, str])


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
