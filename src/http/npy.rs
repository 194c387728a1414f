//! Arrays as NumPy's `.npy` files, version 1.0: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

/// What stands before the numbers of an array of `shape`, row-major little-endian f32.
pub fn header(shape: &[usize]) -> Vec<u8> {
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
    let mut bytes = Vec::with_capacity(10 + padded);
    bytes.extend(b"\x93NUMPY\x01\x00");
    bytes.extend((padded as u16).to_le_bytes());
    bytes.extend(header);
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
        let written = |shape: &str| {
            let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
            text.extend(std::iter::repeat_n(' ', 117 - text.len()));
            [b"\x93NUMPY\x01\x00\x76\x00".as_slice(), text.as_bytes(), b"\n"].concat()
        };
        assert_eq!(header(&[2, 3]), written("(2, 3)"));
        assert_eq!(header(&[3]), written("(3,)"));
        assert_eq!(little_endian(&[0.0, 1.0]), [0, 0, 0, 0, 0, 0, 0x80, 0x3f]);
    }
}
