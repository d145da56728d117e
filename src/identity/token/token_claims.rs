/// Who has made a token, and what for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenKind {
    /// The identity provider.
    #[default]
    Provider,
    /// This server, as a bearer token.
    Bearer,
    /// This server, for the query of a stream, and for nothing else: what stands in a query may stand in logs.
    Ticket,
}

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
    /// Who has made it, and what for.
    pub kind: TokenKind,
}
