//! `Slab`: keeps values until they are taken, and finds each by the key that it was given.
//!
//! The crate `slab` needs eight bytes more for each value, and so for every idle connection.

/// The key of a value: only four bytes, since every connection has several.
pub(crate) type SlabKey = u32;

/// Values by their keys. The next value gets the key that was freed last.
pub(crate) struct Slab<T> {
    values: Vec<Option<T>>,
    free: Vec<SlabKey>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(crate) fn add(&mut self, value: T) -> SlabKey {
        let key = self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            SlabKey::try_from(self.values.len() - 1).expect("more connections than any machine has memory for")
        });
        self.values[key as usize] = Some(value);
        key
    }

    /// Removes a value, and frees its key, which must be in use.
    pub(crate) fn take(&mut self, key: SlabKey) -> Option<T> {
        let value = self.values[key as usize].take();
        self.free.push(key);
        value
    }

    pub(crate) fn get_mut(&mut self, key: SlabKey) -> Option<&mut T> {
        self.values[key as usize].as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.values.iter_mut().flatten()
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
