//! General purpose registers: bits, integers, doubles.

/// One side's registers: those that clients write, or those that programs write.
#[derive(Clone, Debug)]
pub struct Registers {
    bits: u128,
    ints: [i32; 48],
    doubles: [f64; 48],
}

impl Default for Registers {
    fn default() -> Self {
        Self { bits: 0, ints: [0; 48], doubles: [0.0; 48] }
    }
}

impl Registers {
    /// An integer register; 0 beyond the last.
    pub fn int(&self, index: usize) -> i32 {
        self.ints.get(index).copied().unwrap_or_default()
    }

    /// Writes an integer register; nothing beyond the last.
    pub fn set_int(&mut self, index: usize, value: i32) {
        if let Some(register) = self.ints.get_mut(index) {
            *register = value;
        }
    }

    /// A double register; 0 beyond the last.
    pub fn double(&self, index: usize) -> f64 {
        self.doubles.get(index).copied().unwrap_or_default()
    }

    /// Writes a double register; nothing beyond the last.
    pub fn set_double(&mut self, index: usize, value: f64) {
        if let Some(register) = self.doubles.get_mut(index) {
            *register = value;
        }
    }

    /// A bit register, 0 to 127.
    pub fn bit(&self, index: usize) -> bool {
        self.bits.checked_shr(index as u32).unwrap_or_default() & 1 == 1
    }

    /// Writes a bit register.
    pub fn set_bit(&mut self, index: usize, value: bool) {
        let mask = 1u128.checked_shl(index as u32).unwrap_or_default();
        self.bits = if value { self.bits | mask } else { self.bits & !mask };
    }

    /// Bits 0–31 or 32–63 in one word.
    pub fn word(&self, index: usize) -> u32 {
        (self.bits >> (32 * index.min(1))) as u32
    }

    /// Writes bits 0–31 or 32–63.
    pub fn set_word(&mut self, index: usize, value: u32) {
        let shift = 32 * index.min(1);
        self.bits = self.bits & !(u128::from(u32::MAX) << shift) | u128::from(value) << shift;
    }
}

#[cfg(test)]
mod tests {
    use super::Registers;

    #[test]
    fn words_and_bits_are_the_same_registers() {
        let mut registers = Registers::default();
        registers.set_word(1, 0b101);
        registers.set_bit(127, true);
        assert!(registers.bit(32) && !registers.bit(33) && registers.bit(34) && registers.bit(127));
        registers.set_bit(0, true);
        registers.set_word(1, 0);
        assert_eq!((registers.word(0), registers.word(1), registers.bit(127)), (1, 0, true));
        assert!(!registers.bit(500));
    }
}
