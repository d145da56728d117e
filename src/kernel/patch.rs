/// One field of a partial change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Leave what is there.
    #[default]
    Keep,
    /// Take away what is there: back to "not set", or to the built-in default where there is one.
    Clear,
    /// Put this in its place.
    Set(T),
}

impl<T: Clone> Patch<T> {
    /// Whether this leaves the field as it is.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// Applies the change to a field that may be unset.
    pub fn apply_optional(&self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::Set(value) => *field = Some(value.clone()),
        }
    }

    /// Applies the change to a field that always has a value.
    pub fn apply(&self, field: &mut T, default: T) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = default,
            Self::Set(value) => *field = value.clone(),
        }
    }

    /// This change on top of `earlier`: what it keeps, `earlier` decides.
    pub fn over(self, earlier: Self) -> Self {
        if self.is_keep() { earlier } else { self }
    }

    /// Changes the value that would be set.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(change(value)),
        }
    }
}
