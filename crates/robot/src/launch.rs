//! What a controller needs of a proven order, and how a program is pinned.
//!
//! A program is pinned by its file name: `<program id>-<first 16 hexadecimal
//! digits of its SHA-256>.urp`. What that proves: the gateway asks for exactly
//! the file that was put there for this hash, another version has another name,
//! and no text of an order reaches the controller except an [`Id`] and digits.
//! What it does not prove: the bytes behind the name. The Dashboard cannot attest
//! a file, so who writes to the controller's disk (pendant, USB stick, SFTP) can
//! put other bytes under the same name. PolyScope X and SFTP allow reading a
//! program back; a site that needs the proof compares the hash before it enrols
//! the controller and keeps the disk closed after.

use base::{Digest, Id};
use gate::VerifiedOrder;
use std::{collections::BTreeMap, fmt};

/// How many parameters a program can be given.
pub const MAX_PARAMETERS: usize = 8;

/// The name of a pinned program file on the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFile(String);

impl ProgramFile {
    /// The file name for a program of this identifier and SHA-256 digest. It has
    /// only characters of an [`Id`], so it cannot carry a second command.
    pub fn new(program: &Id, sha256: &Digest) -> Self {
        let hash: String = sha256.to_string().chars().take(16).collect();
        Self(format!("{program}-{hash}.urp"))
    }

    /// The file name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProgramFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parts of an order that a controller needs. Only a [`VerifiedOrder`]
/// becomes one outside this crate's own tests.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) file: ProgramFile,
    pub(crate) parameters: BTreeMap<Id, i64>,
    pub(crate) token: i32,
}

impl Launch {
    pub(crate) fn new(
        program: &Id,
        sha256: &Digest,
        parameters: BTreeMap<Id, i64>,
        order: &Digest,
    ) -> Self {
        Self { file: ProgramFile::new(program, sha256), parameters, token: token(order) }
    }

    /// The parameters as register values, in the order of their names.
    pub(crate) fn registers(&self) -> Result<[i32; MAX_PARAMETERS], String> {
        if self.parameters.len() > MAX_PARAMETERS {
            let count = self.parameters.len();
            return Err(format!("{count} parameters, at most {MAX_PARAMETERS} fit"));
        }
        let mut registers = [0; MAX_PARAMETERS];
        for (slot, (name, value)) in registers.iter_mut().zip(&self.parameters) {
            *slot = i32::try_from(*value)
                .map_err(|_| format!("`{name}` = {value} does not fit 32 bits"))?;
        }
        Ok(registers)
    }
}

impl From<VerifiedOrder> for Launch {
    fn from(order: VerifiedOrder) -> Self {
        let program = order.program();
        Self::new(&program.id, &program.sha256, order.parameters().clone(), &order.order())
    }
}

/// The order token: the first four bytes of the order's digest, big-endian, and
/// never 0, which stands for "no order" in a fresh register. It ties what the
/// program reports to one order; it is a label, not a secret and not a proof.
fn token(order: &Digest) -> i32 {
    let [a, b, c, d, ..] = order.0;
    match i32::from_be_bytes([a, b, c, d]) {
        0 => 1,
        token => token,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base::sha256;
    use proptest::prelude::*;

    fn launch(parameters: &[(&str, i64)]) -> Launch {
        let map = parameters.iter().map(|(k, v)| (k.parse().unwrap(), *v)).collect();
        Launch::new(&"scan".parse().unwrap(), &sha256(b"program"), map, &sha256(b"order"))
    }

    #[test]
    fn parameters_go_to_registers_in_the_order_of_their_names() {
        let registers = launch(&[("viewpoints", 6), ("speed_percent", 50)]).registers().unwrap();
        assert_eq!(registers, [50, 6, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(launch(&[("speed_percent", 1 << 31)]).registers().is_err());
        let nine: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|n| (n, 1)).into();
        assert!(launch(&nine).registers().unwrap_err().contains("9 parameters"));
    }

    #[test]
    fn the_token_is_never_zero() {
        assert_eq!(token(&Digest([0; 32])), 1);
        assert_eq!(token(&Digest([255; 32])), -1);
    }

    proptest! {
        #[test]
        fn a_file_name_is_one_plain_word(id in "[a-z0-9][a-z0-9._-]{0,63}", hash: [u8; 32]) {
            let file = ProgramFile::new(&id.parse().unwrap(), &Digest(hash));
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
            prop_assert!(file.as_str().chars().all(plain), "{file}");
            prop_assert!(file.as_str().ends_with(".urp"));
        }
    }
}
