"""Decrypts a sealed recording with Google's Tink.

usage: tink_decrypt.py KEY_HEX ASSOCIATED_DATA FILE...

Prints one line for each file: the SHA-256 and length of its plaintext, or
`refused`.
"""

import base64
import hashlib
import io
import json
import sys

import tink
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2


def handle(key: bytes) -> tink.KeysetHandle:
    """A keyset with our one key, as Tink's JSON keyset format has it."""
    value = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        version=0,
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=1 << 20,
            derived_key_size=32,
            hkdf_hash_type=common_pb2.SHA256,
        ),
        key_value=key,
    )
    keyset = {
        "primaryKeyId": 1,
        "key": [
            {
                "keyData": {
                    "typeUrl": "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
                    "value": base64.b64encode(value.SerializeToString()).decode(),
                    "keyMaterialType": "SYMMETRIC",
                },
                "status": "ENABLED",
                "keyId": 1,
                "outputPrefixType": "RAW",
            }
        ],
    }
    return tink.json_proto_keyset_format.parse(json.dumps(keyset), secret_key_access.TOKEN)


def main() -> None:
    streaming_aead.register()
    primitive = handle(bytes.fromhex(sys.argv[1])).primitive(streaming_aead.StreamingAead)
    for name in sys.argv[3:]:
        digest, size = hashlib.sha256(), 0
        try:
            with open(name, "rb") as file:
                stream = primitive.new_decrypting_stream(
                    io.BytesIO(file.read()), sys.argv[2].encode()
                )
                while piece := stream.read(1 << 20):
                    digest.update(piece)
                    size += len(piece)
            print(digest.hexdigest(), size)
        except tink.TinkError:
            print("refused")


main()
