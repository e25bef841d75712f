//! Methods of HTTP that requests of a plan or a recording have.

/// A method (RFC 9110 §9, RFC 5789).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// Asks for something; what a recording that does not say is taken for.
    #[default]
    Get,
    /// Asks for the head of an answer only.
    Head,
    /// Hands something in.
    Post,
    /// Puts something in a place.
    Put,
    /// Changes a part of something.
    Patch,
    /// Removes something.
    Delete,
    /// Asks what can be asked.
    Options,
}

impl Method {
    /// Every method with its name.
    pub const ALL: [(&'static str, Method); 7] = [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Method::ALL.iter().find(|(_, method)| *method == self).map_or("GET", |(name, _)| name)
    }

    /// The method of a name in a recording; one that is not there or not known is a GET.
    pub fn recorded(name: &[u8]) -> Method {
        Method::ALL.iter().find(|(known, _)| known.as_bytes() == name).map_or(Method::Get, |(_, method)| *method)
    }

    /// Whether a request with it usually has a body.
    pub fn has_body(self) -> bool {
        matches!(self, Method::Post | Method::Put | Method::Patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recording_does_not_say_is_a_get() {
        assert_eq!(
            (Method::recorded(b"POST"), Method::recorded(b""), Method::recorded(b"BREW")),
            (Method::Post, Method::Get, Method::Get)
        );
        assert!(Method::ALL.iter().all(|(name, method)| method.name() == *name));
    }
}
