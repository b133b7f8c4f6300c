//! Post-quantum recipients and identities, and the tag recipients of hardware keys: HPKE stanzas.
//!
//! As age 1.3 writes them (C2SP age.md, "mlkem768x25519", "p256tag" and "mlkem768p256tag"). The age crate of this
//! generation knows none of them.

use std::collections::HashSet;

use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::secrecy::ExposeSecret as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::{DhP256HkdfSha256, MlKem768P256, XWing};
use hpke::{Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable};
use p256::elliptic_curve::sec1::ToSec1Point as _;

use ::age::{DecryptError, EncryptError};

use super::bech32;

const IDENTITY_PREFIX: &str = "AGE-SECRET-KEY-PQ-";
const RECIPIENT_PREFIX: &str = "age1pq";
const HYBRID_STANZA: &str = "mlkem768x25519";
const HYBRID_INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
const TAG_BYTES: usize = 16;
/// Stanzas with this label stand only beside others with it.
const POST_QUANTUM: &str = "postquantum";

/// An `age1pq1…` recipient.
pub(super) struct Recipient(<XWing as Kem>::PublicKey);

/// An `AGE-SECRET-KEY-PQ-1…` identity.
pub(super) struct Identity(<XWing as Kem>::PrivateKey);

impl Recipient {
    /// Reads a recipient; the key in it must be one.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let bytes = bech32::decode(text, RECIPIENT_PREFIX)?;
        let key = Deserializable::from_bytes(bytes.expose());
        key.map(Self).map_err(|_| "it holds no ML-KEM-768 and X25519 public key")
    }
}

impl Identity {
    /// Reads an identity.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let bytes = bech32::decode(text, IDENTITY_PREFIX)?;
        let key = Deserializable::from_bytes(bytes.expose());
        key.map(Self).map_err(|_| "it holds no ML-KEM-768 and X25519 secret key")
    }

    /// The text of the recipient that this is the identity of.
    pub(super) fn to_public(&self) -> String {
        bech32::encode(RECIPIENT_PREFIX, &XWing::sk_to_pk(&self.0).to_bytes())
    }
}

impl ::age::Recipient for Recipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let (share, body) = seal::<XWing>(&self.0, HYBRID_INFO, file_key)?;
        let stanza = Stanza { tag: HYBRID_STANZA.to_owned(), args: vec![BASE64.encode(share)], body };
        Ok((vec![stanza], HashSet::from([POST_QUANTUM.to_owned()])))
    }
}

impl ::age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != HYBRID_STANZA {
            return None;
        }
        let invalid = || Some(Err(DecryptError::InvalidHeader));
        let [share] = &stanza.args[..] else { return invalid() };
        let Ok(share) = BASE64.decode(share) else { return invalid() };
        let Ok(share) = <XWing as Kem>::EncappedKey::from_bytes(&share) else { return invalid() };
        let Ok(body) = <&[u8; FILE_KEY_BYTES + TAG_BYTES]>::try_from(&stanza.body[..]) else {
            return invalid();
        };
        if has_low_order(&share) {
            return invalid();
        }
        open(&self.0, &share, body).map(Ok)
    }
}

/// Whether the X25519 half is a point that gives every key the same secret; age refuses such files.
fn has_low_order(share: &<XWing as Kem>::EncappedKey) -> bool {
    let share = share.to_bytes();
    let point: [u8; 32] = share[share.len() - 32..].try_into().expect("a share is longer than that");
    LOW_ORDER.iter().any(|low| low[..31] == point[..31] && low[31] == point[31] & 0x7f)
}

/// The encodings of all points of low order on Curve25519, the top bit aside (RFC 7748 ignores it).
const LOW_ORDER: [[u8; 32]; 7] = {
    let mut points = [[0; 32]; 7];
    // 0 and 1.
    points[1][0] = 1;
    // The two points of order 8.
    points[2] = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ];
    points[3] = [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ];
    // p - 1, p, p + 1.
    let mut at = 4;
    while at < 7 {
        points[at] = [0xff; 32];
        points[at][0] = 0xec + (at as u8 - 4);
        points[at][31] = 0x7f;
        at += 1;
    }
    points
};

fn seal<K: Kem>(
    key: &K::PublicKey,
    info: &[u8],
    file_key: &FileKey,
) -> Result<(Vec<u8>, Vec<u8>), EncryptError> {
    let failed = |error: HpkeError| EncryptError::Io(std::io::Error::other(error.to_string()));
    let (share, mut sender) =
        hpke::setup_sender::<ChaCha20Poly1305, HkdfSha256, K>(&OpModeS::Base, key, info).map_err(failed)?;
    let body = sender.seal(file_key.expose_secret(), &[]).map_err(failed)?;
    Ok((share.to_bytes().to_vec(), body))
}

/// The file key, unless it was wrapped for another key.
fn open(
    key: &<XWing as Kem>::PrivateKey,
    share: &<XWing as Kem>::EncappedKey,
    body: &[u8; FILE_KEY_BYTES + TAG_BYTES],
) -> Option<FileKey> {
    let mut receiver =
        hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeR::Base, key, share, HYBRID_INFO)
            .ok()?;
    let (sealed, tag) = body.split_at(FILE_KEY_BYTES);
    let tag = AeadTag::from_bytes(tag).ok()?;
    // Straight into the buffer of the file key, which is wiped.
    FileKey::try_init_with_mut(|file_key| {
        let buffer = InOutBuf::new(sealed, &mut file_key[..]).map_err(|_| HpkeError::OpenError)?;
        receiver.open_inout_detached(buffer, &[], &tag)
    })
    .ok()
}

/// An `age1tag1…` or `age1tagpq1…` recipient: a key in hardware, with a plugin of its own for decryption.
///
/// SOPS 3.13 wraps for them through `age-plugin-tag`, which need not be installed here.
pub(super) enum TagRecipient {
    /// P-256, with the compressed key.
    Classic(<DhP256HkdfSha256 as Kem>::PublicKey, Vec<u8>),
    /// ML-KEM-768 with P-256.
    Hybrid(Box<<MlKem768P256 as Kem>::PublicKey>),
}

impl TagRecipient {
    /// Reads a recipient; the key in it must be one.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("age1tagpq1") {
            let bytes = bech32::decode(text, "age1tagpq")?;
            let key = Deserializable::from_bytes(bytes.expose());
            return key
                .map(Box::new)
                .map(Self::Hybrid)
                .map_err(|_| "it holds no ML-KEM-768 and P-256 public key");
        }
        let no_key = "it holds no compressed P-256 public key";
        let bytes = bech32::decode(text, "age1tag")?;
        let compressed = bytes.expose();
        if compressed.len() != 33 {
            return Err(no_key);
        }
        let point = p256::PublicKey::from_sec1_bytes(compressed).map_err(|_| no_key)?;
        let key = Deserializable::from_bytes(point.to_sec1_point(false).as_bytes()).map_err(|_| no_key)?;
        Ok(Self::Classic(key, compressed.to_vec()))
    }
}

impl ::age::Recipient for TagRecipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        match self {
            Self::Classic(key, compressed) => {
                let info = b"age-encryption.org/p256tag";
                let (share, body) = seal::<DhP256HkdfSha256>(key, info, file_key)?;
                let stanza = tagged("p256tag", info, &share, compressed, body);
                Ok((vec![stanza], HashSet::new()))
            }
            Self::Hybrid(key) => {
                let info = b"age-encryption.org/mlkem768p256tag";
                let (share, body) = seal::<MlKem768P256>(key, info, file_key)?;
                // The tag is that of the P-256 half.
                let point = &key.to_bytes()[ML_KEM_768_KEY_BYTES..];
                let stanza = tagged("mlkem768p256tag", info, &share, point, body);
                Ok((vec![stanza], HashSet::from([POST_QUANTUM.to_owned()])))
            }
        }
    }
}

const ML_KEM_768_KEY_BYTES: usize = 1184;

/// A stanza that says, to who knows the recipient, which one it is for.
fn tagged(name: &str, label: &[u8], share: &[u8], recipient: &[u8], body: Vec<u8>) -> Stanza {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest(recipient);
    let (tag, _) = hkdf::Hkdf::<Sha256>::extract(Some(label), &[share, &hash[..4]].concat());
    Stanza { tag: name.to_owned(), args: vec![BASE64.encode(&tag[..4]), BASE64.encode(share)], body }
}
