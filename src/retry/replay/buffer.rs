//! What was read of a body.

use bytes::Bytes;

/// Chunks as they came, without copying them, but for small ones: a body of single bytes would otherwise take a handle of
/// 32 bytes and a reference for each.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    chunks: Vec<Chunk>,
    tail: Vec<u8>,
    len: usize,
}

#[derive(Debug)]
struct Chunk {
    data: Bytes,
    end: usize,
}

// === impl Buffer ===

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, data: &Bytes) {
        if data.len() < SMALL {
            self.tail.extend_from_slice(data);
            self.len += data.len();
        } else {
            self.close_tail();
            self.len += data.len();
            self.chunks.push(Chunk { data: data.clone(), end: self.len });
        }
    }

    /// What begins at this byte, as much as is there in one piece. Never empty.
    pub(super) fn read(&mut self, at: usize) -> Option<Bytes> {
        if at >= self.len {
            return None;
        }
        if at >= self.len - self.tail.len() {
            self.close_tail();
        }
        let chunk = &self.chunks[self.chunks.partition_point(|chunk| chunk.end <= at)];
        Some(chunk.data.slice(at + chunk.data.len() - chunk.end..))
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push(Chunk { data: Bytes::from(std::mem::take(&mut self.tail)), end: self.len });
        }
    }
}

/// Shorter chunks than this are copied together.
const SMALL: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_back_what_it_was_given_from_any_byte_on() {
        let sizes = [1, 0, 511, 512, 3, 3, 2000, 513, 1];
        let mut all = Vec::new();
        let mut buffer = Buffer::default();
        for size in sizes {
            let data: Vec<u8> = (all.len()..all.len() + size).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
            buffer.push(&Bytes::from(data.clone()));
            all.extend(data);
            for from in [0, all.len() / 2, all.len()] {
                let mut got = Vec::new();
                while let Some(data) = buffer.read(from + got.len()) {
                    assert!(!data.is_empty());
                    got.extend(data);
                }
                assert_eq!(got, all[from..], "from {from} of {}", all.len());
            }
        }
        assert_eq!(buffer.len(), all.len());
    }

    #[test]
    fn large_chunks_are_not_copied_and_small_ones_share_one() {
        let mut buffer = Buffer::default();
        let large = Bytes::from(vec![7; SMALL]);
        buffer.push(&large);
        assert_eq!(buffer.read(0).unwrap().as_ptr(), large.as_ptr());
        for _ in 0..1000 {
            buffer.push(&Bytes::from_static(b"a"));
        }
        assert_eq!(buffer.read(SMALL).unwrap().len(), 1000);
        assert_eq!(buffer.chunks.len(), 2);
    }
}
