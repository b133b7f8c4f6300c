//! Shamir's scheme over GF(2⁸), byte for byte that of HashiCorp Vault, which sops uses.
//!
//! Neither table nor branch depends on a secret byte.

use crate::secret::{DATA_KEY_LEN, DataKey, KeyPart, RandomError, fill_random, scratch};

/// Most parts that a data key can be split into: x is one byte and never 0.
pub const MAX_PARTS: usize = 255;

/// Why a data key cannot be split.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// The numbers do not make a scheme.
    #[error("cannot split a data key into {parts} parts of which {threshold} are needed")]
    Numbers {
        /// How many parts were asked for.
        parts: usize,
        /// How many of them were to be needed.
        threshold: usize,
    },
    /// There was no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why parts do not give a data key. With fewer or other parts than were needed the result is a wrong key
/// instead, for the scheme cannot tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CombineError {
    /// One part says nothing.
    #[error("at least two parts are needed, there is {0}")]
    TooFew(usize),
    /// A part has not the length of a share of a data key.
    #[error("a part of the data key has {0} bytes instead of 33")]
    Length(usize),
    /// Two parts are the same one.
    #[error("two parts of the data key are the same one")]
    Duplicate,
}

/// Splits `key` into `parts` parts, of which any `threshold` give it back.
///
/// The order of the parts is that of their numbers, from 1.
pub fn split(key: &DataKey, parts: usize, threshold: usize) -> Result<Vec<KeyPart>, SplitError> {
    if threshold < 2 || parts < threshold || parts > MAX_PARTS {
        return Err(SplitError::Numbers { parts, threshold });
    }
    let mut coefficients = scratch(DATA_KEY_LEN * (threshold - 1));
    fill_random(&mut coefficients)?;
    Ok(split_with(key.expose(), parts, &coefficients))
}

/// Splits with given coefficients: those of the first byte's polynomial, lowest first, then the second's.
fn split_with(secret: &[u8], parts: usize, coefficients: &[u8]) -> Vec<KeyPart> {
    let degree = coefficients.len() / secret.len();
    let share = |x: u8| {
        let mut share = Vec::with_capacity(secret.len() + 1);
        for (constant, higher) in secret.iter().zip(coefficients.chunks_exact(degree)) {
            let above = higher.iter().rev().fold(0, |sum, coefficient| multiply(sum, x) ^ coefficient);
            share.push(multiply(above, x) ^ constant);
        }
        share.push(x);
        KeyPart::from_bytes(share)
    };
    (1..=MAX_PARTS as u8).take(parts).map(share).collect()
}

/// Combines parts that [`split`] made into the data key.
pub fn combine(parts: &[KeyPart]) -> Result<DataKey, CombineError> {
    if parts.len() < 2 {
        return Err(CombineError::TooFew(parts.len()));
    }
    let odd = parts.iter().map(|part| part.expose().len()).find(|&len| len != DATA_KEY_LEN + 1);
    if let Some(len) = odd {
        return Err(CombineError::Length(len));
    }
    let mut secret = scratch(DATA_KEY_LEN);
    combine_into(&mut secret, parts)?;
    Ok(DataKey::from_bytes(&secret).expect("the buffer has the length of a data key"))
}

/// Lagrange's interpolation at 0. Every part has one byte more than `secret`: its number x.
fn combine_into(secret: &mut [u8], parts: &[KeyPart]) -> Result<(), CombineError> {
    let x_of = |part: &KeyPart| part.expose()[secret.len()];
    let numbers: Vec<u8> = parts.iter().map(x_of).collect();
    for (at, part) in parts.iter().enumerate() {
        let mut weight = 1;
        for (_, x) in numbers.iter().enumerate().filter(|(other, _)| *other != at) {
            let distance = x ^ numbers[at];
            if distance == 0 {
                return Err(CombineError::Duplicate);
            }
            weight = multiply(weight, multiply(*x, inverse(distance)));
        }
        for (byte, y) in secret.iter_mut().zip(part.expose()) {
            *byte ^= multiply(*y, weight);
        }
    }
    Ok(())
}

/// The product modulo x⁸ + x⁴ + x³ + x + 1, in the same time for all factors.
fn multiply(a: u8, b: u8) -> u8 {
    (0..8).rev().fold(0u8, |product, bit| {
        let carry = (product >> 7).wrapping_neg() & 0x1B;
        let addend = ((b >> bit) & 1).wrapping_neg() & a;
        (product << 1) ^ carry ^ addend
    })
}

/// The inverse: the 254th power, as the group has 255 elements.
fn inverse(a: u8) -> u8 {
    let power_127 = (0..6).fold(a, |power, _| multiply(multiply(power, power), a));
    multiply(power_127, power_127)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(bytes: &[&[u8]]) -> Vec<KeyPart> {
        bytes.iter().map(|part| KeyPart::from_bytes(part.to_vec())).collect()
    }

    #[test]
    fn the_vector_of_the_specification_splits_and_combines() {
        let shares = split_with(&[0x41, 0x00, 0xff], 3, &[0x05, 0xaa, 0x01]);
        let expected: [&[u8]; 3] = [&[0x44, 0xaa, 0xfe, 1], &[0x4b, 0x4f, 0xfd, 2], &[0x4e, 0xe5, 0xfc, 3]];
        for (share, expected) in shares.iter().zip(expected) {
            assert_eq!(share.expose(), expected);
        }
        for chosen in [[0, 1], [1, 2], [2, 0]] {
            let mut secret = [0; 3];
            combine_into(&mut secret, &parts(&chosen.map(|at| expected[at]))).unwrap();
            assert_eq!(secret, [0x41, 0x00, 0xff]);
        }
    }

    #[test]
    fn any_sufficient_choice_of_parts_gives_the_key_back() {
        let key = DataKey::from_bytes(&std::array::from_fn::<u8, 32, _>(|at| at as u8 * 7)).unwrap();
        let shares = split(&key, 5, 3).unwrap();
        for chosen in [vec![0, 1, 2], vec![4, 2, 0], vec![1, 3, 4, 0], vec![0, 1, 2, 3, 4]] {
            let chosen = parts(&chosen.iter().map(|&at| shares[at].expose()).collect::<Vec<_>>());
            assert_eq!(combine(&chosen).unwrap().expose(), key.expose());
        }
        let too_few = parts(&[shares[0].expose(), shares[1].expose()]);
        assert_ne!(combine(&too_few).unwrap().expose(), key.expose());
    }

    #[test]
    fn numbers_that_make_no_scheme_are_refused() {
        let key = DataKey::from_bytes(&[1; 32]).unwrap();
        for (parts, threshold) in [(2, 1), (2, 3), (256, 2), (0, 0)] {
            assert!(
                matches!(split(&key, parts, threshold), Err(SplitError::Numbers { .. })),
                "{parts} {threshold}"
            );
        }
        assert_eq!(split(&key, 255, 255).unwrap().len(), 255);
    }

    #[test]
    fn parts_that_cannot_be_combined_are_refused() {
        let share = [9; 33];
        let error = |bytes: &[&[u8]]| combine(&parts(bytes)).map(|_| ()).unwrap_err();
        assert_eq!(error(&[&share]), CombineError::TooFew(1));
        assert_eq!(error(&[&share, &share]), CombineError::Duplicate);
        assert_eq!(error(&[&share, &share[1..]]), CombineError::Length(32));
    }

    #[test]
    fn every_element_but_0_times_its_inverse_is_1() {
        for a in 1..=255 {
            assert_eq!(multiply(a, inverse(a)), 1, "{a}");
        }
        assert_eq!(multiply(0x57, 0x83), 0xc1); // FIPS 197, section 4.2
    }
}
