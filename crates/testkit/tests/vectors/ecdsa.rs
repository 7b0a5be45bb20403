//! ECDSA signatures over P-256 taken apart and put together otherwise, in DER.

use super::common::hex;

/// The order of the P-256 group, big-endian.
const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// The two numbers in a DER signature, without leading zeros.
pub fn integers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let r_end = 4 + usize::from(der[3]);
    let strip = |b: &[u8]| b.iter().copied().skip_while(|b| *b == 0).collect();
    (strip(&der[4..r_end]), strip(&der[r_end + 2..]))
}

pub fn integer(number: &[u8]) -> Vec<u8> {
    let lead: &[u8] = if number[0] >= 0x80 { &[0] } else { &[] };
    [&[2, (lead.len() + number.len()) as u8], lead, number].concat()
}

pub fn padded(number: &[u8]) -> Vec<u8> {
    let plain = integer(number);
    [&[2, plain[1] + 1, 0], &plain[2..]].concat()
}

pub fn raw_sequence(r: &[u8], s: &[u8]) -> Vec<u8> {
    [&[0x30, (r.len() + s.len()) as u8], r, s].concat()
}

pub fn sequence(r: &[u8], s: &[u8]) -> Vec<u8> {
    raw_sequence(&integer(r), &integer(s))
}

/// `n - number`.
pub fn minus(number: &[u8]) -> Vec<u8> {
    let mut borrow = 0i16;
    let padded = [vec![0; 32 - number.len()], number.to_vec()].concat();
    let mut out: Vec<u8> = hex(N)
        .iter()
        .zip(padded)
        .rev()
        .map(|(n, x)| {
            let digit = i16::from(*n) - i16::from(x) - borrow;
            borrow = i16::from(digit < 0);
            digit.rem_euclid(256) as u8
        })
        .collect();
    out.reverse();
    out.into_iter().skip_while(|b| *b == 0).collect()
}

/// `number + n`.
pub fn plus(number: &[u8]) -> Vec<u8> {
    let mut carry = 0u16;
    let padded = [vec![0; 32 - number.len()], number.to_vec()].concat();
    let mut out: Vec<u8> = hex(N)
        .iter()
        .zip(padded)
        .rev()
        .map(|(n, x)| {
            carry += u16::from(*n) + u16::from(x);
            let byte = carry as u8;
            carry >>= 8;
            byte
        })
        .collect();
    if carry > 0 {
        out.push(1);
    }
    out.reverse();
    out
}
