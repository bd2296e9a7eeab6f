//! The caller's API key, of which only the hash goes any further.

use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

const KEY_LENGTH: std::ops::RangeInclusive<usize> = 8..=256;

/// The SHA-256 of an API key, in lower-case hex: the partition key of the key and rate-limit tables.
///
/// `Debug` and `Display` show the first 8 digits only, by which logs name a caller.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyHash(String);

impl KeyHash {
    /// Takes the key out of an `Authorization` value: `Bearer`, in any case, one space, and a `b64token` (RFC 6750
    /// §2.1) of 8 to 256 characters with nothing after it. `None` on anything else.
    #[must_use]
    pub fn from_authorization(value: &[u8]) -> Option<Self> {
        let (scheme, key) = value.split_at_checked("Bearer ".len())?;
        (scheme.eq_ignore_ascii_case(b"Bearer ") && KEY_LENGTH.contains(&key.len()) && is_b64token(key))
            .then(|| Self::from_key(key))
    }

    fn from_key(key: &[u8]) -> Self {
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(key) {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Self(hex)
    }

    /// All 64 digits; for the stores, never for a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 8 digits.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0[..8]
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix())
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({}…)", self.prefix())
    }
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(key: &[u8]) -> bool {
    let token = key.iter().rposition(|byte| *byte != b'=').map_or(&[][..], |last| &key[..=last]);
    !token.is_empty() && token.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_sha256_and_shown_by_eight_digits() {
        let hash = KeyHash::from_authorization(b"bEARER demo-dedicated-key").unwrap();
        assert_eq!(hash.as_str().len(), 64);
        assert_eq!(format!("{hash} {hash:?}"), format!("{0} KeyHash({0}…)", &hash.as_str()[..8]));
        assert_eq!(
            KeyHash::from_authorization(b"Bearer abcdefgh").unwrap().as_str(),
            "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab"
        );
    }

    #[test]
    fn accepts_every_b64token_of_8_to_256_characters() {
        for key in ["12345678", "a-._~+/Z", "1234567=", "1=======", &"k".repeat(256)] {
            assert!(KeyHash::from_authorization(format!("Bearer {key}").as_bytes()).is_some(), "{key}");
        }
    }

    #[test]
    fn refuses_every_other_authorization() {
        let too_long = format!("Bearer {}", "k".repeat(257));
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 1234567",
            &too_long,
            "Bearer  12345678",
            "Bearer\t12345678",
            "Bearer 12345678 ",
            "Bearer 12345678\n",
            " Bearer 12345678",
            "Basic 12345678",
            "Bearer12345678",
            "Bearer 1234=678",
            "Bearer ========",
            "Bearer 12345678,Bearer 12345678",
            "Bearer kéyskéys",
            "Bearer <API_KEY>",
        ] {
            assert!(KeyHash::from_authorization(value.as_bytes()).is_none(), "{value:?}");
        }
    }
}
