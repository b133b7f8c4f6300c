//! Bech32 as age uses it: without the limit of 90 characters.

use ::bech32::primitives::checksum::Checksum;
use ::bech32::primitives::decode::CheckedHrpstring;

use crate::secret::SecretBytes;

/// The checksum of BIP 173 for texts of any length.
enum OfAnyLength {}

impl Checksum for OfAnyLength {
    type MidstateRepr = u32;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = <::bech32::Bech32 as Checksum>::CHECKSUM_LENGTH;
    const GENERATOR_SH: [u32; 5] = <::bech32::Bech32 as Checksum>::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = <::bech32::Bech32 as Checksum>::TARGET_RESIDUE;
}

/// The bytes that `text` stands for, if it begins with `prefix` and is well made.
///
/// They may be a secret, so they go into a buffer that is wiped and has its size from the start.
pub(super) fn decode(text: &str, prefix: &str) -> Result<SecretBytes, &'static str> {
    const BROKEN: &str = "invalid Bech32 encoding";
    let checked = CheckedHrpstring::new::<OfAnyLength>(text).map_err(|_| BROKEN)?;
    checked.validate_segwit_padding().map_err(|_| BROKEN)?;
    if !checked.hrp().as_str().eq_ignore_ascii_case(prefix) {
        return Err("it begins with another prefix");
    }
    let mut bytes = Vec::with_capacity(text.len());
    bytes.extend(checked.byte_iter());
    Ok(SecretBytes::new(bytes))
}

/// The text for `bytes`, which are no secret.
pub(super) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let prefix = ::bech32::Hrp::parse(prefix).expect("a prefix of age is one of Bech32");
    ::bech32::encode::<OfAnyLength>(prefix, bytes).expect("there is no limit to its length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_any_length_go_there_and_back() {
        for len in [0, 1, 32, 1216, 5000] {
            let bytes: Vec<u8> = (0..len).map(|at| (at % 253) as u8).collect();
            let text = encode("age1pq", &bytes);
            assert_eq!(decode(&text, "age1pq").unwrap().expose(), bytes);
            assert_eq!(decode(&text.to_uppercase(), "AGE1PQ").unwrap().expose(), bytes);
            assert!(decode(&text, "age1").is_err());
            let broken =
                format!("{}{}", &text[..text.len() - 1], if text.ends_with('q') { 'p' } else { 'q' });
            assert!(decode(&broken, "age1pq").is_err());
        }
        assert!(decode("", "age1pq").is_err() && decode("age1pq1", "age1pq").is_err());
    }
}
