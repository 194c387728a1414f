//! A reader for Python's pickles that builds a description of the objects, and none of them.
//!
//! Pickle is a program for a stack machine. This one knows the instructions of protocols 2 to 5 and executes no code of the
//! file's: a call becomes an [`Object`] that says what would have been called. Nodes lie in one list and refer to each other by
//! place, so that what a file copies a thousand times is there once, nothing is dropped recursively, and memory is
//! bounded by the number of instructions. Strings are slices of the file.
//!
//! Instructions: `pickletools` in Python's library.

use std::collections::HashMap;

use super::value::{Id, Node, Object, Tree};

/// Objects written or recalled. A state dict of ten thousand tensors has a tenth of it; what has more keeps other things there.
const MAX_OBJECTS: usize = 4_000_000;

/// The objects that the pickle in `bytes` describes, or what is wrong, to be read after "its pickle".
pub(super) fn read(bytes: &[u8]) -> Result<Tree<'_>, String> {
    let mut machine = Machine {
        input: bytes,
        nodes: vec![Node::None, Node::Bool(false), Node::Bool(true), Node::Tuple(Vec::new())],
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        pushed: 0,
    };
    loop {
        let code = machine.byte()?;
        if code == b'.' {
            let root = machine.pop()?;
            return Ok(Tree { nodes: machine.nodes, root });
        }
        machine.execute(code)?;
    }
}

/// What every pickle has many of stands once, at the front of the list.
const NONE: Id = Id(0);
const FALSE: Id = Id(1);
const TRUE: Id = Id(2);
const EMPTY_TUPLE: Id = Id(3);

struct Machine<'a> {
    /// What is not executed yet.
    input: &'a [u8],
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// How often something came onto the stack.
    pushed: usize,
}

fn damaged() -> String {
    "is damaged".to_owned()
}

impl<'a> Machine<'a> {
    fn execute(&mut self, code: u8) -> Result<(), String> {
        match code {
            // Protocol, frames (whose lengths only help streams), and a buffer's promise not to change.
            0x80 => {
                let version = self.byte()?;
                if !(2..=5).contains(&version) {
                    return Err(format!("is of protocol {version}: save it with `torch.save`'s default protocol"));
                }
            }
            0x95 => drop(self.take(8)?),
            0x98 => {}
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => self.push(self.top()?)?,
            b'q' | b'r' | 0x94 => self.memoize(code)?,
            b'h' | b'j' => self.recall(code)?,
            b'N' => self.push(NONE)?,
            0x88 => self.push(TRUE)?,
            0x89 => self.push(FALSE)?,
            b')' => self.push(EMPTY_TUPLE)?,
            b'J' | b'K' | b'M' | 0x8a | 0x8b | b'G' => self.number(code)?,
            b'X' | 0x8c | 0x8d | b'T' | b'U' | b'B' | b'C' | 0x8e | 0x96 => self.string(code)?,
            b'}' | b']' | 0x8f | 0x91 | b't' | b'l' | b'd' | 0x85..=0x87 => self.container(code)?,
            b'a' | b'e' | b's' | b'u' | 0x90 => self.fill(code)?,
            b'c' | 0x93 | b'R' | 0x81 | 0x92 | b'b' | b'Q' => self.object(code)?,
            other => return Err(format!("uses instruction {other:#04x}, which no state dict needs")),
        }
        Ok(())
    }

    fn number(&mut self, code: u8) -> Result<(), String> {
        let node = match code {
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'K' => Node::Int(i64::from(self.byte()?)),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.array()?))),
            b'G' => {
                self.take(8)?;
                Node::Number
            }
            _ => {
                let length = if code == 0x8a { usize::from(self.byte()?) } else { u32::from_le_bytes(self.array()?) as usize };
                let bytes = self.take(length)?;
                // Little-endian two's complement of any width; only what can be a size is kept.
                let sign = if bytes.last().is_some_and(|last| *last >= 0x80) { 0xFF } else { 0 };
                let mut wide = [sign; 8];
                match wide.get_mut(..length) {
                    Some(part) => {
                        part.copy_from_slice(bytes);
                        Node::Int(i64::from_le_bytes(wide))
                    }
                    None => Node::Number,
                }
            }
        };
        self.make(node)
    }

    fn string(&mut self, code: u8) -> Result<(), String> {
        let length = match code {
            0x8c | b'U' | b'C' => u64::from(self.byte()?),
            b'X' | b'T' | b'B' => u64::from(u32::from_le_bytes(self.array()?)),
            _ => u64::from_le_bytes(self.array()?),
        };
        let bytes = self.take(usize::try_from(length).map_err(|_| damaged())?)?;
        let text = matches!(code, b'X' | 0x8c | 0x8d | b'T' | b'U');
        // Python keeps lone surrogates, which no name of a tensor has.
        let text = if text { std::str::from_utf8(bytes).ok() } else { None };
        self.make(text.map_or(Node::Bytes, Node::Text))
    }

    fn container(&mut self, code: u8) -> Result<(), String> {
        let node = match code {
            b'}' => Node::Dict(Vec::new()),
            b']' => Node::List(Vec::new()),
            0x8f => Node::Set,
            0x91 => {
                self.pop_mark()?;
                Node::Set
            }
            b't' => Node::Tuple(self.pop_mark()?),
            b'l' => Node::List(self.pop_mark()?),
            b'd' => Node::Dict(pairs(&self.pop_mark()?)?),
            _ => {
                let count = usize::from(code - 0x84);
                let at = self.stack.len().checked_sub(count).filter(|&at| at >= self.floor()).ok_or_else(damaged)?;
                Node::Tuple(self.stack.split_off(at))
            }
        };
        self.make(node)
    }

    /// Puts objects into the one below them.
    fn fill(&mut self, code: u8) -> Result<(), String> {
        let objects = match code {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_mark()?,
        };
        let target = self.top()?;
        match (code, &mut self.nodes[target.place()]) {
            (b'a' | b'e', Node::List(list)) => list.extend(objects),
            (b'a' | b'e', Node::Object(object)) => object.appended.extend(objects),
            (b's' | b'u', Node::Dict(items)) => items.extend(pairs(&objects)?),
            (b's' | b'u', Node::Object(object)) => object.items.extend(pairs(&objects)?),
            // No tensor is in a set.
            (0x90, Node::Set | Node::Object(_)) => {}
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn object(&mut self, code: u8) -> Result<(), String> {
        match code {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.make(Node::Global { module, name })
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.nodes[module.place()], &self.nodes[name.place()]) {
                    (&Node::Text(module), &Node::Text(name)) => self.make(Node::Global { module, name }),
                    _ => Err(damaged()),
                }
            }
            b'Q' => {
                let id = self.pop()?;
                self.make(Node::Persistent(id))
            }
            b'b' => {
                let state = self.pop()?;
                let target = self.top()?;
                if let Node::Object(object) = &mut self.nodes[target.place()] {
                    object.state = Some(state);
                }
                Ok(())
            }
            _ => {
                if code == 0x92 {
                    // Named arguments: no part of PyTorch's tensors has any.
                    self.pop()?;
                }
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let object = Object { callable, arguments, appended: Vec::new(), items: Vec::new(), state: None };
                self.make(Node::Object(Box::new(object)))
            }
        }
    }

    fn memoize(&mut self, code: u8) -> Result<(), String> {
        let key = match code {
            b'q' => u32::from(self.byte()?),
            b'r' => u32::from_le_bytes(self.array()?),
            _ => self.memo.len() as u32,
        };
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, code: u8) -> Result<(), String> {
        let key = if code == b'h' { u32::from(self.byte()?) } else { u32::from_le_bytes(self.array()?) };
        self.push(*self.memo.get(&key).ok_or_else(damaged)?)
    }

    fn make(&mut self, node: Node<'a>) -> Result<(), String> {
        self.push(Id(self.nodes.len() as u32))?;
        self.nodes.push(node);
        Ok(())
    }

    fn push(&mut self, id: Id) -> Result<(), String> {
        if self.pushed == MAX_OBJECTS {
            return Err(format!("describes more than {MAX_OBJECTS} objects"));
        }
        self.pushed += 1;
        self.stack.push(id);
        Ok(())
    }

    /// Where the objects since the last mark begin.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, String> {
        if self.stack.len() > self.floor() { self.stack.last().copied().ok_or_else(damaged) } else { Err(damaged()) }
    }

    fn pop(&mut self) -> Result<Id, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or_else(damaged)?;
        Ok(self.stack.split_off(mark))
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (bytes, rest) = self.input.split_first_chunk().ok_or("ends too early")?;
        self.input = rest;
        Ok(*bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (bytes, rest) = self.input.split_at_checked(length).ok_or("has a string or a number longer than the file")?;
        self.input = rest;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let end = self.input.iter().position(|&byte| byte == b'\n').ok_or("ends too early")?;
        let line = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| damaged())
    }
}

/// Keys and values, alternating.
fn pairs(objects: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    match objects.as_chunks() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_object_is_read() {
        // {"a": (1, -2)}
        let tree = read(b"\x80\x02}X\x01\0\0\0aK\x01\x8a\x01\xfe\x86s.").unwrap();
        let Node::Dict(items) = tree.node(tree.root) else { panic!("{tree:?}") };
        assert_eq!(tree.text(items[0].0), Some("a"));
        let Node::Tuple(pair) = tree.node(items[0].1) else { panic!("{tree:?}") };
        assert_eq!((tree.node(pair[0]), tree.node(pair[1])), (&Node::Int(1), &Node::Int(-2)));
    }

    #[test]
    fn what_is_recalled_is_the_same_object() {
        // [d, d] with d = {}, which is filled after it was put into the list.
        let tree = read(b"\x80\x02]}q\x00ah\x00ah\x00K\x01K\x02s0.").unwrap();
        let Node::List(list) = tree.node(tree.root) else { panic!("{tree:?}") };
        assert_eq!(list[0], list[1]);
        assert!(matches!(tree.node(list[0]), Node::Dict(items) if items.len() == 1));
    }

    #[test]
    fn what_would_exhaust_memory_or_the_stack_is_small_or_refused() {
        let refused = |bytes: &[u8], part: &str| {
            let message = read(bytes).unwrap_err();
            assert!(message.contains(part), "{message}");
        };
        refused(b"X\xff\xff\xff\xffa.", "longer than the file");
        refused(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.", "longer than the file");
        refused(b"\x8a\xff.", "longer than the file");
        refused(b"\x8b\xff\xff\xff\xff.", "longer than the file");
        refused(b"\x80\x07.", "of protocol 7");
        refused(b"\x82\x01.", "instruction 0x82");
        refused(b"K\x01", "ends too early");
        refused(b"ctorch\nload", "ends too early");
        refused(&[&b"N".repeat(MAX_OBJECTS + 1)[..], b"."].concat(), "more than 4000000 objects");
        for bytes in [
            &b"."[..],
            b"K\x01(.",
            b"t.",
            b"0.",
            b"K\x01\x86.",
            b"K\x01(\x85.",
            b"K\x01K\x02a.",
            b"h\x05.",
            b"}K\x01(u.",
            b"K\x01K\x01\x93.",
        ] {
            refused(bytes, "damaged");
        }
        // A million lists in each other, a tuple of itself twice sixty times, a list in itself: each costs what it was written with.
        read(&[b"]".repeat(100_000), b"a".repeat(99_999), b".".to_vec()].concat()).unwrap();
        let doubled: Vec<u8> = (0..60).flat_map(|i| [b'q', i, b'h', i, 0x86]).collect();
        let doubled = [b"K\x01".as_slice(), &doubled, b"."].concat();
        let tree = read(&doubled).unwrap();
        assert!(tree.nodes.len() < 100);
        read(b"]q\0h\0a.").unwrap();
    }

    proptest! {
        #[test]
        fn any_instructions_give_an_answer(bytes in prop::collection::vec(prop_oneof![
            any::<u8>(),
            prop::sample::select(b"cqr)R(XJtQKM\x85\x86\x87\x88N.hjsu}db\x81]Gae\x8a\x8b\x8c\x8f\x90\x91\x92\x93\x94\x95".to_vec()),
            0u8..3,
        ], 0..120)) {
            if let Ok(tree) = read(&bytes) {
                prop_assert!(tree.nodes.len() <= bytes.len() + 4);
            }
        }
    }
}
