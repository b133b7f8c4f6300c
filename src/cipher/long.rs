//! Opening a text of many megabytes: each piece goes on to a digest while the next one is deciphered.
//!
//! This is AES-256-GCM as [`aes_gcm`] has it, from the same parts, in pieces: there the whole text must be deciphered
//! before anybody can look at it, and the digest takes longer than the cipher. Nothing but the digest sees a byte
//! before the tag was found right.

use std::sync::mpsc::{self, Receiver};

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use base64::Engine;
use ctr::cipher::{InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{CtrCore, flavors};
use ghash::universal_hash::UniversalHash;
use ghash::{Block, GHash};

use super::{Cipher, DECODER, Fields, IV_LEN, OpenError, TAG_LEN};
use crate::key_path::Aad;
use crate::secret::SecretBytes;
use crate::value::{Kind, Plaintext};

/// Bytes of one piece: whole blocks of the cipher, and whole groups of base64.
const PIECE: usize = 48 * 4096;

/// Opens a long `text` of kind [`Kind::Str`] and gives each deciphered piece to `digest`, in another thread.
///
/// `None` when the text is short, not spelled as sops and orlop spell it, or there is no other thread.
pub(crate) fn open_long<D: Send>(
    text: &[u8],
    cipher: &Cipher,
    aad: &Aad,
    digest: impl FnOnce(Receiver<&[u8]>) -> D + Send,
) -> Option<Result<(Plaintext, D), OpenError>> {
    let fields = Fields::split_usual(text)?;
    if fields.kind != b"str" || fields.data.len() < PIECE || !fields.data.len().is_multiple_of(4) {
        return None;
    }
    let (mut iv, mut tag) = ([0; IV_LEN + 2], [0; TAG_LEN + 2]);
    let is_usual = DECODER.decode_slice(fields.iv, &mut iv) == Ok(IV_LEN)
        && DECODER.decode_slice(fields.tag, &mut tag) == Ok(TAG_LEN);
    if !is_usual {
        return None;
    }
    let mut data = vec![0; fields.data.len() / 4 * 3];
    let mut stream = Stream::begin(cipher, &iv[..IV_LEN], aad);
    let opened = std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        let digest = std::thread::Builder::new().spawn_scoped(scope, move || digest(receive)).ok()?;
        let last = (data.len() - 1) / PIECE;
        let mut len = 0;
        for (number, (piece, coded)) in
            data.chunks_mut(PIECE).zip(fields.data.chunks(PIECE / 3 * 4)).enumerate()
        {
            let decoded = DECODER.decode_slice(coded, piece).ok()?;
            if decoded < piece.len() && number < last {
                return None;
            }
            let piece = &mut piece[..decoded];
            stream.decipher(piece);
            len += decoded;
            // Nobody listens any more only if the digest has failed, which joining it will tell.
            let _ = send.send(&*piece);
        }
        drop(send);
        let digest = digest.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Some((len, digest))
    });
    let mut data = SecretBytes::new(data);
    let (len, digest) = opened?;
    if !stream.authenticates(&tag[..TAG_LEN]) {
        return Some(Err(OpenError::NotAuthentic));
    }
    data.truncate(len);
    Some(Ok((Plaintext::new(Kind::Str, data), digest)))
}

/// One text on its way through the cipher.
struct Stream<'c> {
    keystream: StreamCipherCoreWrapper<CtrCore<&'c Aes256, flavors::Ctr32BE>>,
    hash: GHash,
    /// What the tag is masked with: the first block of the key stream.
    mask: Block,
    aad_bits: u64,
    data_bits: u64,
}

impl<'c> Stream<'c> {
    fn begin(cipher: &'c Cipher, iv: &[u8], aad: &Aad) -> Self {
        let mut hash_key = Block::default();
        cipher.block.encrypt_block(&mut hash_key);
        let mut hash = GHash::new(&hash_key);
        let mut of_iv = hash.clone();
        of_iv.update_padded(iv);
        of_iv.update(&[lengths(0, 8 * iv.len() as u64)]);
        let counter = of_iv.finalize();
        let core = CtrCore::inner_iv_init(&cipher.block, &counter);
        let mut keystream = StreamCipherCoreWrapper::from_core(core);
        let mut mask = Block::default();
        keystream.apply_keystream(&mut mask);
        hash.update_padded(aad.as_bytes());
        Self { keystream, hash, mask, aad_bits: 8 * aad.as_bytes().len() as u64, data_bits: 0 }
    }

    /// Deciphers a piece in its place. All but the last are whole blocks.
    fn decipher(&mut self, piece: &mut [u8]) {
        self.hash.update_padded(piece);
        self.data_bits += 8 * piece.len() as u64;
        self.keystream.apply_keystream(piece);
    }

    /// Whether `tag` is that of all pieces, in a time that tells nothing.
    fn authenticates(mut self, tag: &[u8]) -> bool {
        self.hash.update(&[lengths(self.aad_bits, self.data_bits)]);
        let computed = self.hash.finalize();
        let pairs = computed.iter().zip(&self.mask).zip(tag);
        let differing =
            pairs.fold(0, |sum, ((hash, mask), tag)| std::hint::black_box(sum | (hash ^ mask ^ tag)));
        tag.len() == TAG_LEN && differing == 0
    }
}

fn lengths(first: u64, second: u64) -> Block {
    let mut block = Block::default();
    block[..8].copy_from_slice(&first.to_be_bytes());
    block[8..].copy_from_slice(&second.to_be_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::DataKey;

    fn sealed(len: usize) -> (Vec<u8>, String) {
        let bytes: Vec<u8> = (0..len as u64).map(|at| (at.wrapping_mul(0x9E37_79B9) >> 13) as u8).collect();
        let text = cipher().seal_bytes(&Aad::of_text("data:"), &bytes).unwrap().unwrap().to_string();
        (bytes, text)
    }

    fn cipher() -> Cipher {
        Cipher::new(&DataKey::from_bytes(&[7; 32]).unwrap())
    }

    fn opened(text: &str, aad: &str) -> Option<Result<(Plaintext, Vec<u8>), OpenError>> {
        let collect = |pieces: Receiver<&[u8]>| pieces.iter().flatten().copied().collect::<Vec<u8>>();
        open_long(text.as_bytes(), &cipher(), &Aad::of_text(aad), collect)
    }

    #[test]
    fn long_texts_open_to_what_was_sealed_and_the_digest_sees_all_of_it() {
        for len in [PIECE, PIECE + 1, PIECE + 2, PIECE + 15, 2 * PIECE - 1, 2 * PIECE, 3 * PIECE + 7] {
            let (bytes, text) = sealed(len);
            let (value, seen) = opened(&text, "data:").unwrap().unwrap();
            assert!(value.expose() == bytes && seen == bytes, "{len}");
        }
    }

    #[test]
    fn a_text_that_was_changed_anywhere_does_not_open() {
        let (_, text) = sealed(2 * PIECE + 5);
        assert_eq!(opened(&text, "other:").unwrap().err(), Some(OpenError::NotAuthentic));
        let iv = text.rfind(",iv:").unwrap() + 4;
        let tag = text.rfind(",tag:").unwrap() + 5;
        for at in [30, PIECE, 2 * PIECE, iv, iv + 20, tag, tag + 20] {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(opened(&changed, "data:").unwrap().err(), Some(OpenError::NotAuthentic), "{at}");
        }
    }

    #[test]
    fn short_and_unusual_texts_are_left_to_others() {
        let (_, text) = sealed(2 * PIECE + 1);
        assert!(opened(&sealed(100).1, "data:").is_none());
        assert!(opened(&text.replace(",type:str", ",type:int"), "data:").is_none());
        let at = PIECE / 3 * 4 - 2 + "ENC[AES256_GCM,data:".len();
        for wrong in ["==", "=A", "\r\n", "!!"] {
            let changed = format!("{}{wrong}{}", &text[..at], &text[at + 2..]);
            assert!(opened(&changed, "data:").is_none(), "{wrong:?}");
        }
    }
}
