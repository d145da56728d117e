//! Lists of words, and those that PostgreSQL's grammar keeps to itself. Where the parser takes one for a name, it reads another
//! query than the engine: `FROM ONLY secret` as a table called ONLY.

/// Words that are no name of anything unless they are quoted.
const RESERVED: &str = "all analyse analyze and any array as asc asymmetric both case cast check collate column constraint \
    create current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc \
    distinct do else end except false fetch for foreign from grant group having in initially intersect into lateral leading \
    limit localtime localtimestamp not null offset on only or order placing primary references returning select session_user \
    some symmetric system_user table then to trailing true union unique user using variadic when where window with";

/// Words that are names of types and functions only, such as `left(x, 2)`.
const TYPE_AND_FUNCTION_NAMES: &str = "authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull \
    join left like natural notnull outer overlaps right similar tablesample verbose";

/// Whether this word, unquoted, names neither a column nor a relation nor a function.
pub(super) fn is_reserved(word: &str) -> bool {
    is_listed(RESERVED, word)
}

/// Whether this word, unquoted, names no relation.
pub(super) fn names_no_relation(word: &str) -> bool {
    is_listed(RESERVED, word) || is_listed(TYPE_AND_FUNCTION_NAMES, word)
}

/// Whether `list`, of words between blanks, holds this name in any case.
pub(super) fn is_listed(list: &str, name: &str) -> bool {
    has_word(list, &name.to_lowercase())
}

/// Whether `list`, of words between blanks, holds this word as it is.
pub(super) fn has_word(list: &str, word: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two words that run into one where a line is broken would both be let through.
    #[test]
    fn no_word_of_a_list_is_lost() {
        let lists = [RESERVED, TYPE_AND_FUNCTION_NAMES];
        assert_eq!(lists.map(|list| list.split(' ').count()), [78, 23]);
    }
}
