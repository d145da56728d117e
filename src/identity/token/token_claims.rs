/// What a token says of its bearer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenClaims {
    /// Whom it stands for.
    pub user: Option<String>,
    /// `viewer`, `user`, `operator` or `admin`; that of another's token is always one of them.
    pub role: Option<String>,
    /// What its bearer may do, as the token says it; `None` if it says nothing.
    pub scopes: Option<Vec<String>>,
    /// The API key that a token of the server's own was made from.
    pub key_id: Option<String>,
    /// When it ends, in seconds since 1970.
    pub expires: i64,
    /// The organisation of its bearer.
    pub tenant: Option<String>,
    /// Whether this server made it.
    pub own: bool,
}
