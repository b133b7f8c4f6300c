//! One value sealed: the `ENC[…]` text, and AES-256-GCM below it.

mod long;

use std::fmt::{self, Write};

use aes_gcm::aead::array::{Array, ArraySize};
use aes_gcm::aead::consts::{U12, U16, U32};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use base64::display::Base64Display;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{Engine, alphabet};

use crate::key_path::Aad;
use crate::secret::{DataKey, RandomError, SecretBytes, SecretText, fill_random};
use crate::timestamp::Timestamp;
use crate::value::{Kind, Plaintext};

pub(crate) use long::open_long;

/// Length of the nonce that sealing makes.
pub const IV_LEN: usize = 32;
/// Length of the tag.
pub const TAG_LEN: usize = 16;

/// A sealed value, as `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedValue {
    /// The ciphertext without its tag; never empty.
    pub data: Vec<u8>,
    /// The nonce; 32 bytes in what sops and orlop write.
    pub iv: Vec<u8>,
    /// The tag.
    pub tag: [u8; TAG_LEN],
    /// The type of the plaintext. It is not authenticated.
    pub kind: Kind,
}

/// Seals and opens the values of one file: a data key made ready for use.
///
/// Make one per data key and keep it; the key schedule is the dear part of sealing a short value.
/// It is wiped on drop, as the cipher's own crate does it.
pub struct Cipher {
    wide: AesGcm<Aes256, U32>,
    block: Aes256,
}

/// Why a text is not an [`EncryptedValue`]. The text is never repeated, for it may be a plaintext.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseValueError {
    /// It has not the form `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.
    #[error("the value is not in the form ENC[…]")]
    NotSealed,
    /// One of its parts is not base64.
    #[error("the {part} of the value is not base64")]
    NotBase64 {
        /// `data`, `iv` or `tag`.
        part: &'static str,
    },
    /// One of its parts has a length that cannot be.
    #[error("the {part} of the value has {len} bytes, which cannot be")]
    Length {
        /// `data`, `iv` or `tag`.
        part: &'static str,
        /// How many bytes it has.
        len: usize,
    },
    /// Its type is not one of the format's.
    #[error("the type of the value is unknown")]
    UnknownKind,
}

/// Why a sealed value does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not sealed with this data key, for this place: it was changed, moved, or belongs to another file.
    #[error("the value does not fit its key and place: it was changed or moved")]
    NotAuthentic,
    /// The nonce has a length that no known program writes.
    #[error("nonces of {len} bytes are not supported")]
    NonceLength {
        /// How many bytes it has.
        len: usize,
    },
    /// It opened, but to something that its type cannot be.
    #[error("the value is not of its type {}", kind.name())]
    NotOfItsKind {
        /// The type that the file names.
        kind: Kind,
    },
}

/// Whether `text` starts like a sealed value. A cheap test; [`EncryptedValue::parse`] decides.
pub fn looks_sealed(text: &[u8]) -> bool {
    text.starts_with(PREFIX)
}

const PREFIX: &[u8] = b"ENC[AES256_GCM,data:";

/// By how much a sealed text in quotes is longer than the base64 of its value, at most.
pub(crate) const SEALED_OVERHEAD: usize = 116;

impl EncryptedValue {
    /// Reads `ENC[…]`.
    ///
    /// The empty text is not one: the format leaves empty values as they are, and callers must ask first.
    pub fn parse(text: &[u8]) -> Result<Self, ParseValueError> {
        let fields = Fields::split(text).ok_or(ParseValueError::NotSealed)?;
        let data = decode("data", fields.data)?;
        let iv = decode("iv", fields.iv)?;
        let tag = decode("tag", fields.tag)?;
        for (part, bytes) in [("data", &data), ("iv", &iv)] {
            if bytes.is_empty() {
                return Err(ParseValueError::Length { part, len: 0 });
            }
        }
        let tag = <[u8; TAG_LEN]>::try_from(tag)
            .map_err(|tag| ParseValueError::Length { part: "tag", len: tag.len() })?;
        let kind = std::str::from_utf8(fields.kind).ok().and_then(Kind::from_name);
        Ok(Self { data, iv, tag, kind: kind.ok_or(ParseValueError::UnknownKind)? })
    }

    /// Opens the value with `cipher`, bound to `aad`. The bytes are canonical whoever sealed them.
    ///
    /// Bytes of kind [`Kind::Bytes`], [`Kind::Str`] and [`Kind::Comment`] come as they are.
    pub fn open(&self, cipher: &Cipher, aad: &Aad) -> Result<Plaintext, OpenError> {
        let bytes = match self.iv.len() {
            IV_LEN => open_with(&cipher.wide, self, aad)?,
            12 => open_with(&cipher.with_nonce_of::<U12>(), self, aad)?,
            16 => open_with(&cipher.with_nonce_of::<U16>(), self, aad)?,
            len => return Err(OpenError::NonceLength { len }),
        };
        plaintext(self.kind, bytes)
    }
}

impl EncryptedValue {
    /// `ENC[…]`: the text that [`fmt::Display`] gives, sooner, and with room for what is to stand around it.
    pub(crate) fn to_text(&self) -> SecretText {
        // Whole groups of three, so that only the last has padding; what they become fits the processor's cache.
        const GROUPS: usize = 8192;
        let mut buffer = vec![0; 4 * GROUPS];
        let mut out = SecretText::with_capacity(self.data.len().div_ceil(3) * 4 + ROOM_AROUND);
        out.push(PREFIX);
        for bytes in self.data.chunks(3 * GROUPS) {
            let len = STANDARD.encode_slice(bytes, &mut buffer).expect("four characters for three bytes");
            out.push(&buffer[..len]);
        }
        let text = |bytes| Base64Display::new(bytes, &STANDARD);
        let (iv, tag) = (text(&self.iv), text(&self.tag));
        out.push_str(&format!(",iv:{iv},tag:{tag},type:{}]", self.kind.name()));
        out
    }
}

/// Room for the metadata of a file with some keys, so that its text need not move.
const ROOM_AROUND: usize = 16 * 1024;

impl fmt::Display for EncryptedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| Base64Display::new(bytes, &STANDARD);
        let (data, iv, tag) = (text(&self.data), text(&self.iv), text(&self.tag));
        write!(f, "ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:{}]", self.kind.name())
    }
}

impl Cipher {
    /// Makes `key` ready for use.
    pub fn new(key: &DataKey) -> Self {
        let block = Aes256::new(key.expose().into());
        Self { wide: AesGcm::from(block.clone()), block }
    }

    /// Seals `value` under a fresh nonce, bound to `aad`.
    ///
    /// `None` for an empty value: the format leaves it as it is, the empty text.
    pub fn seal(&self, aad: &Aad, value: &Plaintext) -> Result<Option<EncryptedValue>, RandomError> {
        let mut iv = [0; IV_LEN];
        fill_random(&mut iv)?;
        Ok(self.seal_with_iv(aad, value, &iv))
    }

    /// As [`Cipher::seal`], for a text of any length that somebody else holds.
    pub(crate) fn seal_bytes(&self, aad: &Aad, bytes: &[u8]) -> Result<Option<EncryptedValue>, RandomError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut iv = [0; IV_LEN];
        fill_random(&mut iv)?;
        let mut data = vec![0; bytes.len()];
        let buffer = InOutBuf::new(bytes, &mut data).expect("both are as long");
        let tag = self
            .wide
            .encrypt_inout_detached(&Array::from(iv), aad.as_bytes(), buffer)
            .expect("no text in memory reaches the cipher's limit of 64 GiB");
        Ok(Some(EncryptedValue { data, iv: iv.to_vec(), tag: tag.into(), kind: Kind::Str }))
    }

    /// Seals under a given nonce. A nonce serves once per data key; only tests know better.
    pub(crate) fn seal_with_iv(
        &self,
        aad: &Aad,
        value: &Plaintext,
        iv: &[u8; IV_LEN],
    ) -> Option<EncryptedValue> {
        if value.is_empty() {
            return None;
        }
        let mut data = value.expose().to_vec();
        let nonce = Array::from(*iv);
        let tag = self
            .wide
            .encrypt_inout_detached(&nonce, aad.as_bytes(), data.as_mut_slice().into())
            .expect("no text in memory reaches the cipher's limit of 64 GiB");
        Some(EncryptedValue { data, iv: iv.to_vec(), tag: tag.into(), kind: value.kind() })
    }

    fn with_nonce_of<N: ArraySize>(&self) -> AesGcm<Aes256, N> {
        AesGcm::from(self.block.clone())
    }
}

/// Opens `text` if it is spelled as sops and orlop spell it; [`EncryptedValue::parse`] reads the others.
///
/// What it opens holds no quote, backslash, blank or line break.
pub(crate) fn open_usual(text: &[u8], cipher: &Cipher, aad: &Aad) -> Option<Result<Plaintext, OpenError>> {
    let fields = Fields::split_usual(text)?;
    // Room for the bytes that the padding might have stood for.
    let (mut iv, mut tag) = ([0; IV_LEN + 2], [0; TAG_LEN + 2]);
    let mut data = Vec::with_capacity(fields.data.len() / 4 * 3);
    DECODER.decode_vec(fields.data, &mut data).ok()?;
    let iv_len = DECODER.decode_slice(fields.iv, &mut iv).ok()?;
    let tag_len = DECODER.decode_slice(fields.tag, &mut tag).ok()?;
    if data.is_empty() || iv_len != IV_LEN || tag_len != TAG_LEN {
        return None;
    }
    let kind = std::str::from_utf8(fields.kind).ok().and_then(Kind::from_name)?;
    let tag = *tag.first_chunk().expect("it is longer");
    Some(decipher(&cipher.wide, &iv[..IV_LEN], data, &tag, aad).and_then(|bytes| plaintext(kind, bytes)))
}

/// Appends to the sealed text of a value how that value was spelled, sealed as well.
///
/// SOPS 3.13 does not read what follows the last `]` of a sealed text. The spelling is bound to the place and to the
/// tag of that text: behind another one it does not open.
pub(crate) fn push_spelling(
    sealed: &mut String,
    spelling: &SecretText,
    cipher: &Cipher,
    aad: &Aad,
) -> Result<(), RandomError> {
    let value = Plaintext::new(Kind::Str, SecretBytes::copy_of(spelling.expose()));
    let Some(aad) = spelling_aad(sealed.as_bytes(), aad) else { return Ok(()) };
    if let Some(EncryptedValue { mut data, iv, tag, .. }) = cipher.seal(&aad, &value)? {
        data.extend(iv);
        data.extend(tag);
        STANDARD.encode_string(&data, sealed);
    }
    Ok(())
}

/// Opens the spelling that [`push_spelling`] put behind the sealed text `sealed`.
pub(crate) fn open_spelling(
    sealed: &[u8],
    spelling: &[u8],
    cipher: &Cipher,
    aad: &Aad,
) -> Option<SecretBytes> {
    let mut data = DECODER.decode(spelling).ok()?;
    let tag = data.split_off(data.len().checked_sub(TAG_LEN)?);
    let iv = data.split_off(data.len().checked_sub(IV_LEN)?);
    let aad = spelling_aad(sealed, aad)?;
    decipher(&cipher.wide, &iv, data, tag.first_chunk()?, &aad).ok()
}

/// What binds a spelling to its sealed text. That of a value ends in a colon, this one does not.
fn spelling_aad(sealed: &[u8], aad: &Aad) -> Option<Aad> {
    let fields = Fields::split(sealed)?;
    let mut bound = String::from_utf8_lossy(aad.as_bytes()).into_owned();
    bound.push_str(std::str::from_utf8(fields.tag).ok()?);
    Some(Aad::of_text(&bound))
}

fn open_with<N: ArraySize>(
    cipher: &AesGcm<Aes256, N>,
    value: &EncryptedValue,
    aad: &Aad,
) -> Result<SecretBytes, OpenError> {
    decipher(cipher, &value.iv, value.data.clone(), &value.tag, aad)
}

fn decipher<N: ArraySize>(
    cipher: &AesGcm<Aes256, N>,
    iv: &[u8],
    mut data: Vec<u8>,
    tag: &[u8; TAG_LEN],
    aad: &Aad,
) -> Result<SecretBytes, OpenError> {
    let nonce = Array::try_from(iv).expect("the length chose the cipher");
    // The tag is checked before a byte is deciphered, so a failure leaves only ciphertext in `data`.
    cipher
        .decrypt_inout_detached(&nonce, aad.as_bytes(), data.as_mut_slice().into(), &Array::from(*tag))
        .map_err(|_| OpenError::NotAuthentic)?;
    Ok(SecretBytes::new(data))
}

fn plaintext(kind: Kind, bytes: SecretBytes) -> Result<Plaintext, OpenError> {
    let bytes = canonical(kind, bytes).ok_or(OpenError::NotOfItsKind { kind })?;
    Ok(Plaintext::new(kind, bytes))
}

/// The parts between the commas, still in base64.
struct Fields<'t> {
    data: &'t [u8],
    iv: &'t [u8],
    tag: &'t [u8],
    kind: &'t [u8],
}

impl<'t> Fields<'t> {
    /// sops: anchored at the start only; what follows the last `]` of the first line does not count.
    fn split(text: &'t [u8]) -> Option<Self> {
        let line = text.split(|&byte| byte == b'\n').next()?;
        let inner = &line[..line.iter().rposition(|&byte| byte == b']')?];
        let (data, rest) = split_once(inner.strip_prefix(PREFIX)?, b",iv:")?;
        let (iv, rest) = split_once(rest, b",tag:")?;
        let (tag, kind) = split_once(rest, b",type:")?;
        let present = [data, iv, tag, kind].iter().all(|field| !field.is_empty());
        present.then_some(Self { data, iv, tag, kind })
    }

    /// Counts from the end, where the lengths of a usual nonce and tag tell all places but that of the type.
    fn split_usual(text: &'t [u8]) -> Option<Self> {
        const IV_TEXT_LEN: usize = IV_LEN.div_ceil(3) * 4;
        const TAG_TEXT_LEN: usize = TAG_LEN.div_ceil(3) * 4;
        let inner = text.strip_prefix(PREFIX)?.strip_suffix(b"]")?;
        let colon = inner.iter().rposition(|&byte| byte == b':')?;
        let (rest, kind) = (inner[..colon].strip_suffix(b",type")?, &inner[colon + 1..]);
        let (rest, tag) = rest.split_at(rest.len().checked_sub(TAG_TEXT_LEN)?);
        let rest = rest.strip_suffix(b",tag:")?;
        let (rest, iv) = rest.split_at(rest.len().checked_sub(IV_TEXT_LEN)?);
        Some(Self { data: rest.strip_suffix(b",iv:")?, iv, tag, kind })
    }
}

fn split_once<'t>(text: &'t [u8], separator: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let at = text.iter().position(|&byte| byte == separator[0])?;
    Some((&text[..at], text[at..].strip_prefix(separator)?))
}

/// sops: Go's decoder wants the padding, but does not look at the unused bits before it.
static DECODER: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

fn decode(part: &'static str, text: &[u8]) -> Result<Vec<u8>, ParseValueError> {
    let decoded = if text.contains(&b'\r') {
        // sops: Go's decoder skips line ends; a line feed already ended the value.
        DECODER.decode(text.iter().copied().filter(|&byte| byte != b'\r').collect::<Vec<u8>>())
    } else {
        DECODER.decode(text)
    };
    decoded.map_err(|_| ParseValueError::NotBase64 { part })
}

/// The canonical bytes of an opened value; `None` when they are not of their kind.
///
/// Old programs sealed other spellings, and the MAC is over the canonical one.
fn canonical(kind: Kind, bytes: SecretBytes) -> Option<SecretBytes> {
    match kind {
        Kind::Str | Kind::Bytes | Kind::Comment => Some(bytes),
        Kind::Bool => match bytes.expose() {
            b"True" | b"False" => Some(bytes),
            b"1" | b"t" | b"T" | b"TRUE" | b"true" => Some(SecretBytes::copy_of(b"True")),
            b"0" | b"f" | b"F" | b"FALSE" | b"false" => Some(SecretBytes::copy_of(b"False")),
            _ => None,
        },
        Kind::Int => {
            let number: i64 = std::str::from_utf8(bytes.expose()).ok()?.parse().ok()?;
            Some(written(bytes, number))
        }
        Kind::Float => float(bytes),
        Kind::Time => {
            let time = Timestamp::parse(std::str::from_utf8(bytes.expose()).ok()?).ok()?.with_nanoseconds();
            Some(SecretBytes::new(time.into_bytes()))
        }
    }
}

/// sops: the shortest decimal digits that read back the same, never with an exponent.
fn float(bytes: SecretBytes) -> Option<SecretBytes> {
    let text = std::str::from_utf8(bytes.expose()).ok()?;
    let number: f64 = text.parse().ok()?;
    if number.is_nan() {
        return Some(SecretBytes::copy_of(b"NaN"));
    }
    if number.is_infinite() {
        let names_infinity = text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'i'));
        let sign = if number > 0.0 { b"+Inf" } else { b"-Inf" };
        // Digits too large for a float are out of range rather than infinite.
        return names_infinity.then(|| SecretBytes::copy_of(sign));
    }
    Some(written(bytes, number))
}

/// `number` as it is written, in the buffer it came from when that already says so.
fn written(bytes: SecretBytes, number: impl fmt::Display) -> SecretBytes {
    // Room for the longest float, so that growing leaves no copy behind.
    let mut text = String::with_capacity(LONGEST_NUMBER);
    write!(text, "{number}").expect("writing to a string does not fail");
    if text.as_bytes() == bytes.expose() { bytes } else { SecretBytes::new(text.into_bytes()) }
}

/// The smallest float has 326 characters.
const LONGEST_NUMBER: usize = 352;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_path::KeyPath;

    fn test_cipher() -> Cipher {
        let bytes: Vec<u8> = (0..32).collect();
        Cipher::new(&DataKey::from_bytes(&bytes).unwrap())
    }

    fn iv_from(first: u8) -> [u8; IV_LEN] {
        std::array::from_fn(|at| first + at as u8)
    }

    fn value(kind: Kind, text: &str) -> Plaintext {
        Plaintext::new(kind, SecretBytes::copy_of(text.as_bytes()))
    }

    fn open(text: &str, aad: &str) -> Result<Plaintext, OpenError> {
        EncryptedValue::parse(text.as_bytes()).unwrap().open(&test_cipher(), &Aad::of_text(aad))
    }

    /// Appendix A of the format's specification, computed without sops.
    #[rustfmt::skip]
    const VECTORS: [(Kind, &str, &str, u8, &str); 9] = [
        (Kind::Str, "hello", "a:", 0x40, "ENC[AES256_GCM,data:DB5fCO4=,iv:QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=,tag:LxKDPh3m7jcwI2VkcyfMyQ==,type:str]"),
        (Kind::Int, "42", "app:db:port:", 0x41, "ENC[AES256_GCM,data:4R0=,iv:QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2A=,tag:AKdXfUwyylgs1QaBxyvnOQ==,type:int]"),
        (Kind::Float, "1.5", "f:", 0x42, "ENC[AES256_GCM,data:2JKV,iv:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=,tag:JCzFUr9k9k/PG9GIAD2ucw==,type:float]"),
        (Kind::Bool, "True", "list:", 0x43, "ENC[AES256_GCM,data:Kcquqg==,iv:Q0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl9gYWI=,tag:6Yd+npUE6maPNM/cnrJcrQ==,type:bool]"),
        (Kind::Bool, "False", "list:", 0x44, "ENC[AES256_GCM,data:pS4g+FE=,iv:REVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2BhYmM=,tag:/rtUJH8+7elBd1WT0tPEDw==,type:bool]"),
        (Kind::Time, "2024-01-01T00:00:00Z", "when:", 0x45, "ENC[AES256_GCM,data:3wPcAs1Y5l0UoyFE3Dmjl0qNIZE=,iv:RUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGFiY2Q=,tag:NjwOILauunUPSUJnCzUdwA==,type:time]"),
        (Kind::Comment, " top", ":", 0x46, "ENC[AES256_GCM,data:fMPYXg==,iv:RkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl9gYWJjZGU=,tag:dnw4imAc4vD9+looTKj+gA==,type:comment]"),
        (Kind::Comment, " in app", "app:", 0x47, "ENC[AES256_GCM,data:0Yi+kZ3dxw==,iv:R0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2BhYmNkZWY=,tag:AVWrVDLdNnx8Pk4orf80cw==,type:comment]"),
        (Kind::Str, "é", "clé:", 0x48, "ENC[AES256_GCM,data:ht0=,iv:SElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGFiY2RlZmc=,tag:wHBTUmmrdgwyt5WR5RClgA==,type:str]"),
    ];

    #[test]
    fn values_seal_to_the_bytes_of_the_specification_and_open_again() {
        for (kind, plain, aad, iv, text) in VECTORS {
            let sealed =
                test_cipher().seal_with_iv(&Aad::of_text(aad), &value(kind, plain), &iv_from(iv)).unwrap();
            assert_eq!(sealed.to_string(), text);
            let opened = open(text, aad).unwrap();
            assert!(opened == value(kind, plain), "{text}");
        }
    }

    #[test]
    fn usual_spellings_open_alike_on_the_short_way_and_others_are_left_to_the_long_one() {
        let vector = VECTORS[0].4;
        let short = |text: &str, aad: &str| open_usual(text.as_bytes(), &test_cipher(), &Aad::of_text(aad));
        for (kind, plain, aad, _, text) in VECTORS {
            assert!(short(text, aad).unwrap().unwrap() == value(kind, plain), "{text}");
        }
        assert_eq!(short(vector, "b:").unwrap().err(), Some(OpenError::NotAuthentic));
        assert_eq!(short(VECTORS[1].4, "a:").unwrap().err(), Some(OpenError::NotAuthentic));
        let as_number = vector.replace("type:str", "type:int");
        assert_eq!(short(&as_number, "a:").unwrap().err(), Some(OpenError::NotOfItsKind { kind: Kind::Int }));
        for other in [
            format!("{vector} "),
            format!("{vector}\nnext,type:str]"),
            vector.replace("DB5f", "DB\n5f"),
            vector.replace("DB5f", "DB,5"),
            vector.replace("DB5fCO4=", ""),
            vector.replace("QEFC", "QEF\""),
            vector.replace("yQ==", "yQA="),
            vector.replace("yQ==", "yQAA"),
            vector.replace("Xl8=", "Xl8A"),
            vector.replace("Xl8=", "Xw=="),
            vector.replace(",tag:", ",tag;"),
            vector.replace(",iv:", ",iv;"),
            vector.replace(":str", ":other"),
            vector.replace(",type:str", ""),
            String::new(),
        ] {
            assert!(short(&other, "a:").is_none(), "{other}");
        }
    }

    #[test]
    fn the_vector_of_sops_opens() {
        let cipher = Cipher::new(&DataKey::from_bytes(&[b'f'; 32]).unwrap());
        let text = b"ENC[AES256_GCM,data:oYyi,iv:MyIDYbT718JRr11QtBkcj3Dwm4k1aCGZBVeZf0EyV8o=,tag:t5z2Z023Up0kxwCgw1gNxg==,type:str]";
        let opened = EncryptedValue::parse(text).unwrap().open(&cipher, &Aad::of_text("bar:")).unwrap();
        assert!(opened == Plaintext::text("foo"));
    }

    #[test]
    fn an_empty_value_is_not_sealed() {
        assert_eq!(test_cipher().seal(&KeyPath::root().aad(), &Plaintext::text("")).unwrap(), None);
        assert_eq!(EncryptedValue::parse(b""), Err(ParseValueError::NotSealed));
    }

    #[test]
    fn every_seal_takes_a_fresh_nonce() {
        let (cipher, aad) = (test_cipher(), Aad::of_text("a:"));
        let seal = || cipher.seal(&aad, &Plaintext::text("x")).unwrap().unwrap();
        let (first, second) = (seal(), seal());
        assert_eq!(first.iv.len(), IV_LEN);
        assert_ne!(first.iv, second.iv);
        assert!(first.open(&cipher, &aad).unwrap() == Plaintext::text("x"));
    }

    #[test]
    fn a_moved_or_changed_value_does_not_open() {
        let text = VECTORS[0].4;
        assert!(matches!(open(text, "b:"), Err(OpenError::NotAuthentic)));
        let intact = EncryptedValue::parse(text.as_bytes()).unwrap();
        let mut changed = [intact.clone(), intact.clone(), intact];
        changed[0].data[0] ^= 1;
        changed[1].iv[31] ^= 1;
        changed[2].tag[15] ^= 0x80;
        for value in changed {
            assert!(matches!(value.open(&test_cipher(), &Aad::of_text("a:")), Err(OpenError::NotAuthentic)));
        }
    }

    #[test]
    fn other_nonce_lengths_open() {
        // Made with another implementation of AES-GCM: key 00…1f, additional data `a:`, plaintext `hello`.
        for text in OTHER_NONCES {
            assert!(open(text, "a:").unwrap() == Plaintext::text("hello"), "{text}");
        }
        let odd = VECTORS[0].4.replace("QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=", "QEFC");
        assert!(matches!(open(&odd, "a:"), Err(OpenError::NonceLength { len: 3 })));
    }

    #[rustfmt::skip]
    const OTHER_NONCES: [&str; 2] = [
        "ENC[AES256_GCM,data:gr73OdQ=,iv:YGFiY2RlZmdoaWpr,tag:PPTxAlBCp/MCkaeKm/s6Tg==,type:str]",
        "ENC[AES256_GCM,data:7HA8o9w=,iv:YGFiY2RlZmdoaWprbG1ubw==,tag:wkVuE17RffdCfsblK74zqA==,type:str]",
    ];

    #[test]
    fn text_behind_the_last_bracket_and_line_ends_in_the_base64_do_not_count() {
        let text = VECTORS[0].4;
        let plain = EncryptedValue::parse(text.as_bytes()).unwrap();
        let spellings =
            [format!("{text} more, text"), format!("{text}\nmore]"), text.replace("QEFC", "QE\r\rFC")];
        for spelling in spellings {
            assert_eq!(EncryptedValue::parse(spelling.as_bytes()), Ok(plain.clone()), "{spelling}");
        }
    }

    #[test]
    fn unused_bits_before_the_padding_do_not_count() {
        let text = VECTORS[0].4.replace("DB5fCO4=", "DB5fCO5=");
        assert_eq!(EncryptedValue::parse(text.as_bytes()), EncryptedValue::parse(VECTORS[0].4.as_bytes()));
    }

    #[test]
    fn what_is_not_in_the_form_is_refused() {
        let text = VECTORS[0].4;
        let parse = |text: String| EncryptedValue::parse(text.as_bytes()).unwrap_err();
        for other in [
            format!(" {text}"),
            text.replace("AES256_GCM", "AES128_GCM"),
            text.replace("DB5fCO4=", ""),
            text.replace("type:str", "type:"),
            text.replace(']', ""),
            text.replace(",tag", ", tag"),
            text.replace(",iv:", "\n,iv:"),
        ] {
            assert_eq!(parse(other.clone()), ParseValueError::NotSealed, "{other}");
        }
        assert_eq!(parse(text.replace("type:str", "type:string")), ParseValueError::UnknownKind);
        assert_eq!(parse(format!("{text}]")), ParseValueError::UnknownKind);
        assert_eq!(parse(text.replace("DB5fCO4=", "DB5fCO4")), ParseValueError::NotBase64 { part: "data" });
        assert_eq!(parse(text.replace("QEFC", "QE-C")), ParseValueError::NotBase64 { part: "iv" });
        let short_tag = text.replace("LxKDPh3m7jcwI2VkcyfMyQ==", "LxKDPh3m7jcwI2VkcyfM");
        assert_eq!(parse(short_tag), ParseValueError::Length { part: "tag", len: 15 });
    }

    #[test]
    fn a_cheap_look_tells_sealed_values_from_others() {
        assert!(looks_sealed(VECTORS[0].4.as_bytes()));
        assert!(!looks_sealed(b""));
        assert!(!looks_sealed(b"ENC[other"));
    }

    #[test]
    fn spellings_of_old_programs_open_to_canonical_bytes() {
        let reopen = |kind, text: &str| {
            let (cipher, aad) = (test_cipher(), Aad::of_text("a:"));
            let opened = cipher.seal(&aad, &value(kind, text)).unwrap().unwrap().open(&cipher, &aad).ok()?;
            Some(String::from_utf8(opened.expose().to_vec()).unwrap())
        };
        for (kind, text, canonical) in [
            (Kind::Int, "+007", Some("7")),
            (Kind::Int, "-9223372036854775808", Some("-9223372036854775808")),
            (Kind::Int, "9223372036854775808", None),
            (Kind::Int, "1_0", None),
            (Kind::Int, "0x1", None),
            (Kind::Float, "1", Some("1")),
            (Kind::Float, "1e21", Some("1000000000000000000000")),
            (Kind::Float, "1e-7", Some("0.0000001")),
            (Kind::Float, "5e-324", Some(&format!("0.{}5", "0".repeat(323)))),
            (Kind::Float, "-0", Some("-0")),
            (Kind::Float, "inf", Some("+Inf")),
            (Kind::Float, "-Inf", Some("-Inf")),
            (Kind::Float, "nan", Some("NaN")),
            (Kind::Float, "1e400", None),
            (Kind::Float, "x", None),
            (Kind::Bool, "t", Some("True")),
            (Kind::Bool, "FALSE", Some("False")),
            (Kind::Bool, "yes", None),
            (Kind::Time, "2024-01-01T00:00:00.500+00:00", Some("2024-01-01T00:00:00.5Z")),
            (Kind::Time, "2024-01-01", None),
            (Kind::Bytes, "+007", Some("+007")),
        ] {
            assert_eq!(reopen(kind, text).as_deref(), canonical, "{kind:?} {text}");
        }
    }
}
