//! Arrays as NumPy's `.npy` files, version 1.0: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

/// The file of `values`, row-major with `shape`, as little-endian f32.
pub fn encode(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let mut sides = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if shape.len() == 1 {
        // Python's tuple of one.
        sides.push(',');
    }
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sides}), }}").into_bytes();
    // Magic, version and length are 10 bytes; the data begins at a multiple of 64, after a line's end.
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header.resize(padded - 1, b' ');
    header.push(b'\n');
    let mut bytes = Vec::with_capacity(10 + padded + 4 * values.len());
    bytes.extend(b"\x93NUMPY\x01\x00");
    bytes.extend((padded as u16).to_le_bytes());
    bytes.extend(header);
    bytes.extend(little_endian(values));
    bytes
}

/// The bytes of `values` alone.
pub fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes written by NumPy 2: `io = BytesIO(); np.save(io, np.arange(6, dtype='<f4').reshape(2, 3))`, and `np.zeros(3, '<f4')`.
    #[test]
    fn it_writes_what_numpy_writes() {
        let header = |shape: &str| {
            let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
            text.extend(std::iter::repeat_n(' ', 117 - text.len()));
            [b"\x93NUMPY\x01\x00\x76\x00".as_slice(), text.as_bytes(), b"\n"].concat()
        };
        let bytes = encode(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(bytes[..128], header("(2, 3)"));
        assert_eq!(bytes[128..136], [0, 0, 0, 0, 0, 0, 0x80, 0x3f]);
        assert_eq!(encode(&[3], &[0.0; 3])[..128], header("(3,)"));
    }
}
