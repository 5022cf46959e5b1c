"""Keys to sign with: sealed where they are drawn, and good for their own merchant under one master key alone."""

from base64 import b64decode, b64encode
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from moneyback.flows.sign import draw_key_pair, sign
from moneyback.vault import Vault

VAULT, OTHER_VAULT = Vault(bytes(range(32))), Vault(bytes(range(1, 33)))
SHOP, STRANGER = UUID(int=1), UUID(int=2)
KEYS = draw_key_pair(VAULT, SHOP)


def test_what_is_signed_can_be_checked():
    public = load_pem_public_key(KEYS.public.encode())
    assert isinstance(public, RSAPublicKey)
    signature = sign(VAULT, SHOP, KEYS.private, b"told")
    assert signature is not None
    public.verify(signature, b"told", PKCS1v15(), SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"told otherwise", PKCS1v15(), SHA256())


def test_the_private_half_is_sealed():
    assert b"PRIVATE KEY" not in b64decode(KEYS.private)
    assert "PRIVATE KEY" in VAULT.open(b64decode(KEYS.private), f"signing key of {SHOP.hex}")


@pytest.mark.parametrize(
    ("vault", "merchant", "sealed"),
    [
        (None, SHOP, KEYS.private),
        (OTHER_VAULT, SHOP, KEYS.private),
        (VAULT, STRANGER, KEYS.private),
        (VAULT, SHOP, ""),
        (VAULT, SHOP, "not base64"),
        (VAULT, SHOP, "é"),
        (VAULT, SHOP, b64encode(bytes(5)).decode()),
        (VAULT, SHOP, b64encode(VAULT.seal("text", "another purpose")).decode()),
    ],
    ids=["no vault", "another vault", "a stranger", "nothing", "not base64", "not ascii", "too short", "no key"],
)
def test_nobody_else_signs(vault: Vault | None, merchant: UUID, sealed: str):
    assert sign(vault, merchant, sealed, b"told") is None


def test_where_nothing_can_be_sealed_nothing_is_kept():
    keys = draw_key_pair(None, SHOP)
    assert keys.private == ""
    assert keys.public.startswith("-----BEGIN PUBLIC KEY-----")
