//! Which fields of a [`Config`] are set, so that two can be merged field by field.

use std::sync::Arc;

use sockeye_tokio::Config;

/// A [`Config`], or some fields of one.
#[derive(Clone, Debug)]
pub(crate) struct PartialConfig {
    /// The values that are set, and the defaults of the others. All connections share it.
    values: Arc<Config>,
    /// Whether all fields were set at once.
    is_whole: bool,
    /// The fields that were set one by one, with a bit for each.
    set: u8,
}

/// A field that can be set alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    MaxFrameSize,
    MaxMessageSize,
    MaxFragments,
    ReadBufferSize,
    WriteBufferSize,
    MaxWriteBufferSize,
    AcceptUnmaskedFrames,
}

impl Default for PartialConfig {
    fn default() -> Self {
        Self { values: Config::shared(), is_whole: false, set: 0 }
    }
}

impl PartialConfig {
    /// Sets all fields.
    pub(crate) fn whole(config: Arc<Config>) -> Self {
        Self { values: config, is_whole: true, set: 0 }
    }

    /// Sets one field: `change` sets it in the values.
    pub(crate) fn set(&mut self, field: Field, change: impl FnOnce(Config) -> Config) {
        self.values = Arc::new(change(*self.values));
        self.set |= field.bit();
    }

    /// What is set, and the defaults for the rest.
    pub(crate) fn values(&self) -> Arc<Config> {
        self.values.clone()
    }

    /// Merges the fields of both; what is set here overrides `other`.
    pub(crate) fn over(&self, other: &Self) -> Self {
        if self.is_whole || (!other.is_whole && other.set == 0) {
            return self.clone();
        }
        let mut both = other.clone();
        for field in Field::ALL.into_iter().filter(|field| self.set & field.bit() != 0) {
            both.set(field, |values| field.copy(&self.values, values));
        }
        both
    }
}

impl Field {
    const ALL: [Self; 7] = [
        Self::MaxFrameSize,
        Self::MaxMessageSize,
        Self::MaxFragments,
        Self::ReadBufferSize,
        Self::WriteBufferSize,
        Self::MaxWriteBufferSize,
        Self::AcceptUnmaskedFrames,
    ];

    fn bit(self) -> u8 {
        1 << self as u8
    }

    fn copy(self, from: &Config, to: Config) -> Config {
        match self {
            Self::MaxFrameSize => to.max_frame_size(from.get_max_frame_size()),
            Self::MaxMessageSize => to.max_message_size(from.get_max_message_size()),
            Self::MaxFragments => to.max_fragments(from.get_max_fragments()),
            Self::ReadBufferSize => to.read_buffer_size(from.get_read_buffer_size()),
            Self::WriteBufferSize => to.write_buffer_size(from.get_write_buffer_size()),
            Self::MaxWriteBufferSize => to.max_write_buffer_size(from.get_max_write_buffer_size()),
            Self::AcceptUnmaskedFrames => to.accept_unmasked_frames(from.get_accept_unmasked_frames()),
        }
    }
}
