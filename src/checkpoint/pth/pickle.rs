//! A fence round candle's pickle reader.
//!
//! A few bytes of pickle can ask for 4 GiB (a string's length), for 2³⁰ objects (a tuple of itself twice, thirty times) or
//! for objects so deep that dropping them overflows the stack. Each instruction is looked at before it is executed, and
//! what it would copy or nest is weighed.

use candle_core::pickle::{Object, OpCode, Stack};

/// Far above a state dict's (6), far below what a thread's stack holds.
const MAX_DEPTH: usize = 64;

/// Copied objects a byte of pickle. A state dict has fewer than one.
const COPIES_A_BYTE: usize = 4;

/// The object that the pickle in `bytes` builds, or what is wrong, to be read after "its pickle".
pub(super) fn read(bytes: &[u8]) -> Result<Object, String> {
    let (mut rest, mut stack) = (bytes, Stack::empty());
    let mut budget = COPIES_A_BYTE * bytes.len() + 1000;
    loop {
        let &[code, ref arguments @ ..] = rest else { return Err("ends too early".into()) };
        let Ok(operation) = OpCode::try_from(code) else {
            return Err(format!(
                "uses instruction {code:#04x}, which state dicts do not need: save it with `torch.save`'s default protocol"
            ));
        };
        check_length(&operation, arguments)?;
        for consumed in consumed(&operation, stack.stack()) {
            weigh(consumed, 1)?;
        }
        if matches!(operation, OpCode::BinPut | OpCode::LongBinPut) {
            charge(&mut budget, stack.stack().last())?;
        }
        let finished = stack.read(&mut rest).map_err(|_| "is damaged".to_owned())?;
        if matches!(operation, OpCode::BinGet | OpCode::LongBinGet) {
            charge(&mut budget, stack.stack().last())?;
        }
        if finished {
            return stack.finalize().map_err(|_| "is empty".into());
        }
    }
}

/// Refuses lengths past the end of the file, and integers wider than candle can hold.
fn check_length(operation: &OpCode, arguments: &[u8]) -> Result<(), String> {
    let fits = match (operation, arguments) {
        (OpCode::BinUnicode, &[a, b, c, d, ref text @ ..]) => u32::from_le_bytes([a, b, c, d]) as usize <= text.len(),
        (OpCode::BinUnicode, _) => false,
        (OpCode::Long1, &[length, ..]) => length <= 8,
        _ => true,
    };
    if fits { Ok(()) } else { Err("has a string or a number longer than the file".into()) }
}

/// The objects that `operation` puts into another one.
fn consumed<'a>(operation: &OpCode, stack: &'a [Object]) -> &'a [Object] {
    let top = |count: usize| &stack[stack.len().saturating_sub(count)..];
    match operation {
        OpCode::Tuple1 | OpCode::BinPersId | OpCode::Append => top(1),
        OpCode::Tuple2 | OpCode::Reduce | OpCode::Build | OpCode::NewObj | OpCode::SetItem => top(2),
        OpCode::Tuple3 => top(3),
        OpCode::Tuple | OpCode::Dict | OpCode::SetItems | OpCode::Appends => {
            let mark = stack.iter().rposition(|object| *object == Object::Mark);
            &stack[mark.unwrap_or(0)..]
        }
        _ => &[],
    }
}

fn charge(budget: &mut usize, copied: Option<&Object>) -> Result<(), String> {
    let weight = copied.map_or(Ok(0), |object| weigh(object, 1))?;
    *budget = budget.checked_sub(weight).ok_or("copies its objects more often than any state dict")?;
    Ok(())
}

/// Number of objects in `object`, 16 bytes of text counting as one; an error if they are nested too deep.
fn weigh(object: &Object, depth: usize) -> Result<usize, String> {
    if depth > MAX_DEPTH {
        return Err("nests its objects deeper than any state dict".into());
    }
    let inner = |object: &Object| weigh(object, depth + 1);
    let all = |objects: &[Object]| objects.iter().map(inner).sum::<Result<usize, String>>();
    let weight = match object {
        Object::Tuple(objects) | Object::List(objects) => all(objects)?,
        Object::Dict(entries) => {
            entries.iter().map(|(key, value)| Ok(inner(key)? + inner(value)?)).sum::<Result<usize, String>>()?
        }
        Object::Reduce { callable, args } | Object::Build { callable, args } => inner(callable)? + inner(args)?,
        Object::PersistentLoad(id) => inner(id)?,
        Object::Unicode(text) => text.len() / 16,
        Object::Class { module_name, class_name } => (module_name.len() + class_name.len()) / 16,
        Object::Int(_) | Object::Long(_) | Object::Float(_) | Object::Bool(_) | Object::None | Object::Mark => 0,
    };
    Ok(weight + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_object_is_read() {
        // {"a": (1, 2)}
        let object = read(b"\x80\x02}X\x01\0\0\0aK\x01K\x02\x86s.").unwrap();
        let pair = Object::Tuple(vec![Object::Int(1), Object::Int(2)]);
        assert_eq!(object, Object::Dict(vec![(Object::Unicode("a".into()), pair)]));
    }

    #[test]
    fn what_would_exhaust_memory_or_the_stack_is_refused() {
        let refused = |bytes: &[u8], part: &str| {
            let message = read(bytes).unwrap_err();
            assert!(message.contains(part), "{message}");
        };
        refused(b"X\xff\xff\xff\xffa.", "longer than the file");
        refused(&[b"K\x01".as_slice(), &b"\x85".repeat(1_000_000), b"."].concat(), "deeper than");
        refused(&[b"]".repeat(100_000), b"a".repeat(99_999), b".".to_vec()].concat(), "deeper than");
        let doubled: Vec<u8> = (0..60).flat_map(|i| [b'q', i, b'h', i, 0x86]).collect();
        refused(&[b"K\x01".as_slice(), &doubled, b"."].concat(), "copies its objects");
        let text = [b"X\x00\x10\0\0".as_slice(), &[b'a'; 4096], b"q\0", &b"h\0".repeat(100_000), b"."].concat();
        refused(&text, "copies its objects");
        refused(b"\x80\x04\x95\0\0\0\0\0\0\0\0.", "0x95");
        refused(b"K\x01", "ends too early");
        refused(b"\x8a\xff.", "longer than the file");
    }

    proptest! {
        #[test]
        fn any_instructions_give_an_answer(bytes in prop::collection::vec(prop_oneof![
            any::<u8>(),
            prop::sample::select(b"cqr)R(XJtQKM\x85\x86\x87\x88N.hjsu}db\x81]Gae\x8a".to_vec()),
            0u8..3,
        ], 0..120)) {
            let _ = read(&bytes);
        }
    }
}
