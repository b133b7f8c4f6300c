//! The digest over a file's values, which binds them together.

use std::fmt::Write;

use sha2::{Digest, Sha512};

use crate::cipher::{Cipher, EncryptedValue, OpenError, ParseValueError};
use crate::key_path::Aad;
use crate::secret::RandomError;
use crate::value::{Kind, Plaintext};

/// Hashes the canonical bytes of a file's leaves, in the order of the walk.
#[derive(Clone)]
pub struct MacHasher {
    hash: Sha512,
    only_sealed: bool,
}

/// The digest of a file's values. Nothing prints it: it would tell equal files apart from others.
pub struct Mac {
    hex: Plaintext,
}

/// Proof that a file's values are those its MAC was made for.
///
/// Only [`Mac::verify`] makes one.
#[derive(Debug)]
pub struct MacVerified(());

/// Why a file's MAC does not vouch for its values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacError {
    /// The file has no MAC.
    #[error("the file has no MAC")]
    Missing,
    /// The MAC is not a sealed value.
    #[error("the MAC cannot be read: {0}")]
    Unreadable(#[source] ParseValueError),
    /// The MAC does not open: it or `lastmodified` was changed.
    #[error("the MAC does not open: {0}")]
    NotOpening(#[source] OpenError),
    /// The values are not those of the MAC.
    #[error("the values are not those the MAC was made for")]
    Mismatch,
}

/// SHA-256 of `sops`, which keeps a digest over some values apart from one over all.
const ONLY_SEALED_PREFIX: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b,
    0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

impl MacHasher {
    /// Starts a digest. With `mac_only_encrypted` the caller then hashes only what the selection seals.
    pub fn new(mac_only_encrypted: bool) -> Self {
        let mut hash = Sha512::new();
        if mac_only_encrypted {
            hash.update(ONLY_SEALED_PREFIX);
        }
        Self { hash, only_sealed: mac_only_encrypted }
    }

    /// Whether the digest is over what the selection seals only.
    pub(crate) fn is_only_over_sealed(&self) -> bool {
        self.only_sealed
    }

    /// Adds a value. Comments do not count, sealed or not, and neither do nulls, which have no [`Plaintext`].
    pub fn update(&mut self, value: &Plaintext) {
        if value.kind() != Kind::Comment {
            self.hash.update(value.expose());
        }
    }

    /// Adds the bytes of a value that is no comment.
    pub(crate) fn update_bytes(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    /// Ends the digest.
    pub fn finish(self) -> Mac {
        let mut hex = String::with_capacity(2 * Sha512::output_size());
        for byte in self.hash.finalize() {
            write!(hex, "{byte:02X}").expect("writing to a string does not fail");
        }
        Mac { hex: Plaintext::text(&hex) }
    }
}

impl Mac {
    /// The 128 upper-case hexadecimal digits.
    pub fn expose_hex(&self) -> &[u8] {
        self.hex.expose()
    }

    /// Seals the digest, bound to the time at which the file was changed.
    ///
    /// `last_modified` is the time's own additional data, see
    /// [`LastModified::aad`](crate::metadata::LastModified::aad).
    pub fn seal(&self, cipher: &Cipher, last_modified: &Aad) -> Result<EncryptedValue, RandomError> {
        Ok(cipher.seal(last_modified, &self.hex)?.expect("a digest is never empty"))
    }

    /// Compares the digest with the one sealed in a file, in constant time.
    pub fn verify(
        &self,
        sealed: &str,
        cipher: &Cipher,
        last_modified: &Aad,
    ) -> Result<MacVerified, MacError> {
        if sealed.is_empty() {
            return Err(MacError::Missing);
        }
        let sealed = EncryptedValue::parse(sealed.as_bytes()).map_err(MacError::Unreadable)?;
        let of_file = sealed.open(cipher, last_modified).map_err(MacError::NotOpening)?;
        let is_same = of_file.kind() == Kind::Str && same(of_file.expose(), self.hex.expose());
        if is_same { Ok(MacVerified(())) } else { Err(MacError::Mismatch) }
    }
}

/// Whether two texts are the same, in a time that tells only their lengths.
fn same(left: &[u8], right: &[u8]) -> bool {
    let differing = left.iter().zip(right).fold(0, |sum, (l, r)| std::hint::black_box(sum | (l ^ r)));
    left.len() == right.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{DataKey, SecretBytes};

    fn value(kind: Kind, text: &str) -> Plaintext {
        Plaintext::new(kind, SecretBytes::copy_of(text.as_bytes()))
    }

    fn test_cipher() -> Cipher {
        let bytes: Vec<u8> = (0..32).collect();
        Cipher::new(&DataKey::from_bytes(&bytes).unwrap())
    }

    fn mac_of_vector() -> Mac {
        let mut hasher = MacHasher::new(false);
        for (kind, text) in [
            (Kind::Str, "hello"),
            (Kind::Comment, "does not count"),
            (Kind::Int, "42"),
            (Kind::Float, "1.5"),
            (Kind::Bool, "True"),
            (Kind::Bool, "False"),
            (Kind::Str, ""),
            (Kind::Time, "2024-01-01T00:00:00Z"),
        ] {
            hasher.update(&value(kind, text));
        }
        hasher.finish()
    }

    const SEALED: &str = "ENC[AES256_GCM,data:qD06sPC4T7fNPQxchjsgl50zX1jEUNCOlaGKSb9cubKJa7rpyzlxwj9d5BzlC7h1zKw/XFeta9m1miUheHIB+j/6TUmv9LOCzqhkja8wczQq5ocf7vYQhUmp620jtkhgEJUK51LlAaclIkLJIg3OcpAs3SySjicS4ClGH+NbwMU=,iv:UFFSU1RVVldYWVpbXF1eX2BhYmNkZWZnaGlqa2xtbm8=,tag:+78fExQPPxio2tAmIllLVA==,type:str]";

    #[test]
    fn the_digest_is_that_of_the_specification() {
        let hex = b"26A3832FBA217D3E85026F4E3B1B2E59F88BF25153E8220B0E3E559AE8AF95DB6E75B719C353992386175DC18C6FC5988113E43F0B60C75F549A01EC4FFB8A10";
        assert_eq!(mac_of_vector().expose_hex(), hex);
    }

    #[test]
    fn a_digest_over_sealed_values_only_starts_otherwise() {
        let mut hasher = MacHasher::new(true);
        hasher.update(&Plaintext::text("hello"));
        let hex = b"AB53BE959DEF78AB23AB9F9A75E134502533FE5A3993047AE8796EADC89707E5244788D2F0A5AD9DF18F64582C106BDAD4937DACD054F46B4FB0B49BDA6E9E7D";
        assert_eq!(hasher.finish().expose_hex(), hex);
    }

    #[test]
    fn a_file_without_leaves_has_the_digest_of_nothing() {
        assert!(MacHasher::new(false).finish().expose_hex().starts_with(b"CF83E1357EEFB8BD"));
    }

    #[test]
    fn the_sealed_digest_of_the_specification_is_verified() {
        let aad = Aad::of_text("2026-01-02T03:04:05Z");
        mac_of_vector().verify(SEALED, &test_cipher(), &aad).unwrap();
        let resealed = mac_of_vector().seal(&test_cipher(), &aad).unwrap().to_string();
        mac_of_vector().verify(&resealed, &test_cipher(), &aad).unwrap();
    }

    #[test]
    fn other_values_times_and_texts_are_refused() {
        let (cipher, aad) = (test_cipher(), Aad::of_text("2026-01-02T03:04:05Z"));
        let error = |mac: &Mac, sealed: &str, aad: &Aad| mac.verify(sealed, &cipher, aad).unwrap_err();
        assert_eq!(error(&MacHasher::new(false).finish(), SEALED, &aad), MacError::Mismatch);
        let later = Aad::of_text("2026-01-02T03:04:06Z");
        assert_eq!(error(&mac_of_vector(), SEALED, &later), MacError::NotOpening(OpenError::NotAuthentic));
        assert_eq!(error(&mac_of_vector(), "", &aad), MacError::Missing);
        assert_eq!(error(&mac_of_vector(), "abc", &aad), MacError::Unreadable(ParseValueError::NotSealed));
    }

    #[test]
    fn a_digest_sealed_as_another_type_or_in_lower_case_is_refused() {
        let (cipher, aad, mac) = (test_cipher(), Aad::of_text("2026-01-02T03:04:05Z"), mac_of_vector());
        let hex = String::from_utf8(mac.expose_hex().to_vec()).unwrap();
        for other in
            [value(Kind::Bytes, &hex), value(Kind::Str, &hex.to_lowercase()), value(Kind::Str, &hex[..127])]
        {
            let sealed = cipher.seal(&aad, &other).unwrap().unwrap().to_string();
            assert_eq!(mac.verify(&sealed, &cipher, &aad).unwrap_err(), MacError::Mismatch);
        }
    }
}
