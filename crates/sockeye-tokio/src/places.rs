//! `Places`: values that stay where they are until they are taken, so that whoever put one there finds it again.

/// Where a value is. Of four bytes, since every connection has several.
pub(crate) type Place = u32;

/// Values, each in a place of its own. A place that was given up is the next to be taken.
pub(crate) struct Places<T> {
    values: Vec<Option<T>>,
    free: Vec<Place>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Places<T> {
    pub(crate) fn add(&mut self, value: T) -> Place {
        let place = self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            Place::try_from(self.values.len() - 1).expect("more connections than any machine has memory for")
        });
        self.values[place as usize] = Some(value);
        place
    }

    /// Gives a place up, and its value back.
    pub(crate) fn take(&mut self, place: Place) -> Option<T> {
        let value = self.values[place as usize].take();
        self.free.push(place);
        value
    }

    pub(crate) fn get(&self, place: Place) -> Option<&T> {
        self.values[place as usize].as_ref()
    }

    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        self.values[place as usize].as_mut()
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
