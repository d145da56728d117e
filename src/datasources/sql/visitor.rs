//! The walk over the parsed query: which clauses, sources of rows and kinds of expressions it may be made of.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, Cte, Expr, GroupByExpr, Ident, InTarget, LimitClause, ObjectName, OrderBy, OrderByKind, Query, Select,
    SelectFlavor, SetExpr, Statement, TableFactor, Value, ValueWithSpan, Visit, Visitor,
};

use super::dialect::Dialect;
use super::refusal::Refusal;
use super::{functions, relations};

/// The walk over all parts of a query.
struct QueryVisitor<'a> {
    dialect: Dialect,
    named: &'a [String],
    /// Whether the relation that comes next is a function in truth.
    is_call: bool,
    /// Relations so far.
    relations: usize,
    /// How many WITH clauses are around this place.
    with_depth: usize,
}

/// Relations that a query may read. Planning more takes engines minutes, in which nothing interrupts them.
const MAX_RELATIONS: usize = 64;
/// WITH clauses within each other. MariaDB takes twice as long for each, and nothing interrupts it.
const MAX_WITH_DEPTH: usize = 12;

/// Refuses what the walk over a part of a statement refuses. `named` are functions that are allowed by their names.
pub(super) fn walk(part: &impl Visit, dialect: Dialect, named: &[String]) -> Result<(), Refusal> {
    let mut visitor = QueryVisitor { dialect, named, is_call: false, relations: 0, with_depth: 0 };
    part.visit(&mut visitor).break_value().map_or(Ok(()), Err)
}

impl Visitor for QueryVisitor<'_> {
    type Break = Refusal;

    fn pre_visit_statement(&mut self, _: &Statement) -> ControlFlow<Refusal> {
        ControlFlow::Break(Refusal::not_one_query())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        self.with_depth += usize::from(query.with.is_some());
        if self.with_depth > MAX_WITH_DEPTH {
            let reason = format!("The query has more than {MAX_WITH_DEPTH} WITH clauses within each other.");
            return ControlFlow::Break(Refusal::new(reason));
        }
        control_flow(check_query(query, self.dialect))
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        self.with_depth = self.with_depth.saturating_sub(usize::from(query.with.is_some()));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Refusal> {
        control_flow(check_select(select))
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Refusal> {
        match std::mem::take(&mut self.is_call) {
            true => ControlFlow::Continue(()),
            false => control_flow(relations::check(relation, self.dialect)),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Refusal> {
        self.is_call = matches!(factor, TableFactor::Table { args: Some(_), .. });
        self.relations += 1;
        if self.relations > MAX_RELATIONS {
            let reason = format!("The query reads more than {MAX_RELATIONS} tables, subqueries and functions.");
            return ControlFlow::Break(Refusal::new(reason));
        }
        control_flow(self.check_table_factor(factor))
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Refusal> {
        control_flow(self.check_expression(expression))
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<Refusal> {
        // Parameters are `?name` by now; the parser takes `:1` for a placeholder too.
        match &value.value {
            Value::Placeholder(name) if !name.starts_with('?') => {
                control_flow(Err(Refusal::new(format!("The query contains {name}; use :name parameters instead."))))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Goes on unless something is refused.
fn control_flow(result: Result<(), Refusal>) -> ControlFlow<Refusal> {
    result.map_or_else(ControlFlow::Break, ControlFlow::Continue)
}

/// Refuses a clause that is there.
fn require_absent(clause: &str, is_absent: bool) -> Result<(), Refusal> {
    if is_absent { Ok(()) } else { Err(Refusal::clause(clause)) }
}

/// Refuses clauses of a query beyond WITH, ORDER BY, LIMIT, OFFSET and FETCH. All fields are named, so that a parser
/// that learns a new clause doesn't compile until it is judged here.
fn check_query(query: &Query, dialect: Dialect) -> Result<(), Refusal> {
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch: _,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    require_absent("A row lock (FOR UPDATE, FOR SHARE)", locks.is_empty())?;
    require_absent("FOR XML, FOR JSON or FOR BROWSE", for_clause.is_none())?;
    require_absent("SETTINGS", settings.is_none())?;
    require_absent("FORMAT", format_clause.is_none())?;
    require_absent("A pipe operator", pipe_operators.is_empty())?;
    let by = matches!(limit_clause, Some(LimitClause::LimitOffset { limit_by, .. }) if !limit_by.is_empty());
    require_absent("LIMIT BY", !by)?;
    if let Some(OrderBy { kind, interpolate }) = order_by {
        require_absent("ORDER BY ALL", matches!(kind, OrderByKind::Expressions(_)))?;
        require_absent("INTERPOLATE", interpolate.is_none())?;
    }
    let tables = with.iter().flat_map(|with| &with.cte_tables);
    for Cte { from, .. } in tables {
        require_absent("FROM after a common table expression", from.is_none())?;
    }
    check_body(body, dialect)
}

/// Refuses a query whose body writes. Queries within it are walked by themselves.
fn check_body(body: &SetExpr, dialect: Dialect) -> Result<(), Refusal> {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => Ok(()),
        SetExpr::SetOperation { left, right, .. } => {
            check_body(left, dialect)?;
            check_body(right, dialect)
        }
        // The walk doesn't take the name after TABLE for a relation.
        SetExpr::Table(table) => {
            let parts: Vec<&Ident> = [&table.schema_name, &table.table_name].into_iter().flatten().collect();
            relations::check_parts(&parts, dialect)
        }
        _ => Err(Refusal::not_one_query()),
    }
}

/// Refuses clauses of a SELECT that write, or that these engines don't have. All fields are named, as in [`check_query`].
fn check_select(select: &Select) -> Result<(), Refusal> {
    let Select {
        select_token: _,
        optimizer_hints,
        distinct: _,
        select_modifiers: _,
        top,
        top_before_distinct: _,
        projection: _,
        exclude,
        into,
        from: _,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window: _,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    require_absent("INTO", into.is_none())?;
    require_absent("An optimizer hint", optimizer_hints.is_empty())?;
    require_absent("TOP", top.is_none())?;
    require_absent("EXCLUDE", exclude.is_none())?;
    require_absent("LATERAL VIEW", lateral_views.is_empty())?;
    require_absent("PREWHERE", prewhere.is_none())?;
    require_absent("CONNECT BY", connect_by.is_empty())?;
    require_absent("CLUSTER BY", cluster_by.is_empty())?;
    require_absent("DISTRIBUTE BY", distribute_by.is_empty())?;
    require_absent("SORT BY", sort_by.is_empty())?;
    require_absent("QUALIFY", qualify.is_none())?;
    require_absent("SELECT AS STRUCT or VALUE", value_table_mode.is_none())?;
    require_absent("GROUP BY ALL", matches!(group_by, GroupByExpr::Expressions(..)))?;
    require_absent("FROM before SELECT", *flavor == SelectFlavor::Standard)
}

impl QueryVisitor<'_> {
    /// Refuses sources of rows other than tables, subqueries and functions.
    fn check_table_factor(&self, factor: &TableFactor) -> Result<(), Refusal> {
        match factor {
            TableFactor::Table { name, args, with_hints, version, json_path, .. } => {
                require_absent("A table hint", with_hints.is_empty())?;
                require_absent("A table version", version.is_none())?;
                require_absent("A path into a table", json_path.is_none())?;
                if args.is_some() { self.check_call(name) } else { Ok(()) }
            }
            TableFactor::Function { name, .. } => self.check_call(name),
            TableFactor::Derived { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::NestedJoin { .. } => Ok(()),
            _ => Err(Refusal::clause("This kind of table expression")),
        }
    }

    /// Refuses a call of the function of this name, whatever schema it is looked for in.
    fn check_call(&self, name: &ObjectName) -> Result<(), Refusal> {
        match name.0.last().map(|last| last.as_ident()) {
            Some(Some(name)) => self.check_function(&name.value),
            _ => Err(Refusal::clause("A call without a name")),
        }
    }

    /// Refuses this function, whatever schema it is in.
    fn check_function(&self, name: &str) -> Result<(), Refusal> {
        functions::check_function(name, None, self.dialect, self.named)
    }

    /// Refuses calls of refused functions and kinds of expressions that these engines don't have.
    fn check_expression(&self, expression: &Expr) -> Result<(), Refusal> {
        match expression {
            Expr::Function(function) => self.check_call(&function.name),
            // PostgreSQL calls a function for `value.function` when the value has no such field: `x.pg_read_file` reads
            // the file that x names.
            Expr::CompoundIdentifier(parts) if self.dialect == Dialect::Postgres => {
                parts.last().map_or(Ok(()), |last| self.check_function(&last.value))
            }
            Expr::CompoundFieldAccess { access_chain, .. } if self.dialect == Dialect::Postgres => {
                access_chain.iter().try_for_each(|access| match access {
                    AccessExpr::Dot(Expr::Identifier(name)) => self.check_function(&name.value),
                    AccessExpr::Dot(Expr::Function(_)) => Err(Refusal::clause("A call after a dot")),
                    AccessExpr::Dot(_) | AccessExpr::Subscript(_) => Ok(()),
                })
            }
            // `xmlforest(a AS b)`.
            Expr::Named { .. } if self.dialect == Dialect::Postgres => Ok(()),
            expression if is_allowed(expression) => Ok(()),
            _ => Err(Refusal::clause("This kind of expression")),
        }
    }
}

/// Whether this kind of expression is part of the three engines' queries.
fn is_allowed(expression: &Expr) -> bool {
    use Expr::*;
    match expression {
        // Names and values.
        Identifier(_) | CompoundIdentifier(_) | CompoundFieldAccess { .. } | Value(_) | Prefixed { .. } => true,
        TypedString(_) | Interval(_) | Array(_) | Tuple(_) => true,
        // Comparisons.
        IsFalse(_) | IsNotFalse(_) | IsTrue(_) | IsNotTrue(_) | IsNull(_) | IsNotNull(_) | IsUnknown(_)
        | IsNotUnknown(_) => true,
        IsDistinctFrom(..) | IsNotDistinctFrom(..) | IsJson { .. } | IsNormalized { .. } | Between { .. } => true,
        In { target: InTarget::List(_) | InTarget::Subquery(_) | InTarget::Table { .. }, .. } => true,
        Like { .. } | ILike { .. } | SimilarTo { .. } | RLike { .. } | MatchAgainst { .. } | MemberOf(_) => true,
        // Operators, casts, and functions with a syntax of their own.
        BinaryOp { .. } | UnaryOp { .. } | AnyOp { .. } | AllOp { .. } | Collate { .. } | AtTimeZone { .. } => true,
        Convert { .. } | Cast { .. } | Extract { .. } | Ceil { .. } | Floor { .. } | Position { .. } => true,
        Substring { .. } | Trim { .. } | Overlay { .. } => true,
        // What expressions are put together with.
        Nested(_) | Case { .. } | Exists { .. } | Subquery(_) | GroupingSets(_) | Cube(_) | Rollup(_) => true,
        _ => false,
    }
}
