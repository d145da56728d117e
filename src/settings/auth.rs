use crate::kernel::Fields;

/// Reads the `AUTH_*` variables. This version can't tell callers apart, and a server that is told to and doesn't would
/// be worse than none: `AUTH_ENABLED=true` is refused.
pub(super) fn check(env: &mut Fields<'_>) {
    let algorithm: String = env.or("AUTH_ALGORITHM", "HS256".to_owned());
    if algorithm != "HS256" {
        env.reject("AUTH_ALGORITHM", "Input should be 'HS256'");
    }
    env.int_or("AUTH_TOKEN_EXPIRE_MINUTES", 30, 1..=525_600);
    env.optional::<String>("AUTH_SECRET_KEY");
    if env.or("AUTH_ENABLED", false) {
        env.reject("AUTH_ENABLED", "Input should be false: this version has no authentication and will not pretend to");
    }
}
