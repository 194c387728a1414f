//! Protocol buffers, as far as scalars need them, and the frame of a record.

/// A message that is being written, field by field.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// How a field is written: the low bits of its key.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    /// The message as it is written.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Field `field`, an integer.
    pub(super) fn number(self, field: u64, value: u64) -> Self {
        self.varint(field << 3 | VARINT).varint(value)
    }

    /// Field `field`, a double.
    pub(super) fn double(self, field: u64, value: f64) -> Self {
        self.varint(field << 3 | FIXED64).raw(&value.to_le_bytes())
    }

    /// Field `field`, a float.
    pub(super) fn float(self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | FIXED32).raw(&value.to_le_bytes())
    }

    /// Field `field`, text or bytes.
    pub(super) fn bytes(self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | DELIMITED).varint(value.len() as u64).raw(value)
    }

    /// Field `field`, a message.
    pub(super) fn message(self, field: u64, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// `data` as a record.
pub(super) fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let (of_length, of_data) = (masked(&length).to_le_bytes(), masked(data).to_le_bytes());
    [&length, &of_length[..], data, &of_data].concat()
}

/// The checksum of `bytes` as it is stored: a checksum of what holds checksums would tell little.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// CRC-32C (Castagnoli), bit by bit: records are a few hundred bytes, two a second.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn fields_are_written_as_protocol_buffers_have_them() {
        let inner = Message::default().bytes(1, b"a").float(2, 1.0);
        let message = Message::default().number(2, 300).message(5, &inner);
        assert_eq!(message.as_bytes(), [0x10, 0xAC, 0x02, 0x2A, 8, 0x0A, 1, b'a', 0x15, 0, 0, 0x80, 0x3F]);
    }
}
