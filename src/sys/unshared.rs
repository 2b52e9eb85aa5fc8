//! Memory of the parent that no child gets: what it knows of one session is not in another.
//!
//! The kernel leaves such memory out of a fork, so that a child that touches it ends, and the parent
//! goes on writing to it without a page fault. It lives as long as the process.

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::num::NonZero;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

/// New memory, of zeros.
fn map(length: usize) -> io::Result<NonNull<u8>> {
    let length = NonZero::new(length.max(1)).unwrap_or(NonZero::<usize>::MIN);
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_PRIVATE;
    // All of it is resident from the start: what the server uses does not grow with the sessions that
    // it has had, and memory that is not there is missed at the start and not later.
    #[cfg(target_os = "linux")]
    let flags = flags | MapFlags::MAP_POPULATE;
    // SAFETY: new memory, at an address that the kernel chooses, is nobody else's.
    let memory = unsafe { mmap_anonymous(None, length, access, flags) }?;
    #[cfg(target_os = "linux")]
    {
        use nix::sys::mman::{MmapAdvise, madvise};
        // SAFETY: the range is the one from above, and no child uses it.
        unsafe { madvise(memory, length.get(), MmapAdvise::MADV_DONTFORK) }?;
    }
    Ok(memory.cast())
}

/// A fixed number of places for values, empty at first.
pub(crate) struct Slots<T: Copy> {
    slots: NonNull<Slot<T>>,
    len: usize,
    values: PhantomData<T>,
}

/// All zeros is an empty one.
#[repr(C)]
struct Slot<T> {
    is_full: bool,
    value: MaybeUninit<T>,
}

impl<T: Copy> Slots<T> {
    /// Places for this many values.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let bytes = len.checked_mul(size_of::<Slot<T>>());
        let bytes = bytes.ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Slots {
            slots: map(bytes)?.cast(),
            len,
            values: PhantomData,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn all(&self) -> &[Slot<T>] {
        // SAFETY: the memory holds `len` slots and is aligned to a page. It was zeros, which are
        // valid slots, and only `set` writes to it.
        unsafe { slice::from_raw_parts(self.slots.as_ptr(), self.len) }
    }

    fn all_mut(&mut self) -> &mut [Slot<T>] {
        // SAFETY: as above, and this is the only reference to it.
        unsafe { slice::from_raw_parts_mut(self.slots.as_ptr(), self.len) }
    }

    /// The value at a place.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        let slot = self.all().get(at).filter(|slot| slot.is_full)?;
        // SAFETY: a full slot has its value.
        Some(unsafe { slot.value.assume_init_ref() })
    }

    /// The value at a place, to be changed.
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let slot = self.all_mut().get_mut(at).filter(|slot| slot.is_full)?;
        // SAFETY: a full slot has its value.
        Some(unsafe { slot.value.assume_init_mut() })
    }

    /// Fills or empties a place.
    pub(crate) fn set(&mut self, at: usize, value: Option<T>) {
        let slot = &mut self.all_mut()[at];
        slot.is_full = value.is_some();
        slot.value = value.map_or(MaybeUninit::zeroed(), MaybeUninit::new);
    }
}

/// A fixed number of bytes.
pub(crate) struct Bytes {
    bytes: NonNull<u8>,
    len: usize,
}

impl Bytes {
    /// This many zeros.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        Ok(Bytes {
            bytes: map(len)?,
            len,
        })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the memory holds `len` bytes, and nobody else has it.
        unsafe { slice::from_raw_parts(self.bytes.as_ptr(), self.len) }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and this is the only reference to it.
        unsafe { slice::from_raw_parts_mut(self.bytes.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_empty_until_it_is_set() {
        let mut slots = Slots::new(3).expect("memory");
        assert_eq!(slots.get(1), None::<&(u32, char)>);
        slots.set(1, Some((7, 'x')));
        slots.get_mut(1).expect("it is full").0 += 1;
        assert_eq!(slots.get(1), Some(&(8, 'x')));
        slots.set(1, None);
        assert_eq!(
            (slots.get(1), slots.get(2), slots.get(3)),
            (None, None, None)
        );
    }

    #[test]
    fn bytes_are_zeros_at_first() {
        let mut bytes = Bytes::new(5000).expect("memory");
        assert!(bytes.iter().all(|&byte| byte == 0));
        bytes[4999] = 1;
        assert_eq!(bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>(), 1);
    }
}
