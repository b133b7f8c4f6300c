use aes_gcm::aead::consts::U32;
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use base64::Engine;
use sha2::Digest;
use std::time::Instant;
fn main() {
    let n = 100_000_000usize;
    let data: Vec<u8> = (0..n).map(|i| (i * 7 % 251) as u8).collect();
    let key = [7u8; 32];
    let c: AesGcm<Aes256, U32> = AesGcm::new((&key).into());
    let nonce = [1u8; 32].into();
    for _ in 0..2 {
        let t = Instant::now();
        let h = sha2::Sha512::digest(&data);
        println!("sha512 {:?} {:x?}", t.elapsed(), h[0]);
        let mut d = data.clone();
        let t = Instant::now();
        let tag = c.encrypt_inout_detached(&nonce, b"data:", d.as_mut_slice().into()).unwrap();
        println!("gcm enc {:?}", t.elapsed());
        let t = Instant::now();
        let mut s = String::with_capacity(n / 3 * 4 + 8);
        base64::engine::general_purpose::STANDARD.encode_string(&d, &mut s);
        println!("b64 enc {:?}", t.elapsed());
        let t = Instant::now();
        let mut v = Vec::with_capacity(n + 8);
        base64::engine::general_purpose::STANDARD.decode_vec(&s, &mut v).unwrap();
        println!("b64 dec {:?}", t.elapsed());
        let t = Instant::now();
        c.decrypt_inout_detached(&nonce, b"data:", v.as_mut_slice().into(), &tag).unwrap();
        println!("gcm dec {:?}", t.elapsed());
        let t = Instant::now();
        zeroize::Zeroize::zeroize(&mut v);
        println!("wipe {:?}", t.elapsed());
    }
}
