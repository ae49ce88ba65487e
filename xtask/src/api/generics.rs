//! Generic parameters and their bounds.

use super::term::{Clause, Term};
use super::types::{Scope, for_lifetimes, lifetime_term, sequence};
use rustdoc_types::{GenericParamDef, GenericParamDefKind, Generics, Term as AssocTerm, Type, WherePredicate};

impl Scope<'_> {
    /// The parameters between `<` and `>`, with their defaults and without their bounds. Nothing if there are none.
    pub(super) fn parameters(&self, generics: &Generics) -> Term {
        let parameter = |parameter: &GenericParamDef| {
            let name = Term::Parameter(parameter.name.clone());
            match &parameter.kind {
                GenericParamDefKind::Lifetime { .. } => Some(name),
                // The parameter that an `impl Trait` among the arguments stands for.
                GenericParamDefKind::Type { is_synthetic: true, .. } => None,
                GenericParamDefKind::Type { default: None, .. } => Some(name),
                GenericParamDefKind::Type { default: Some(default), .. } => {
                    Some(sequence([name, Term::text(" = "), self.ty(default)]))
                }
                GenericParamDefKind::Const { type_, default } => {
                    let default = default.as_ref().map(|default| format!(" = {default}")).unwrap_or_default();
                    Some(sequence([Term::text("const "), name, Term::text(": "), self.ty(type_), Term::text(default)]))
                }
            }
        };
        let parameters: Vec<Term> = generics.params.iter().filter_map(parameter).collect();
        if parameters.is_empty() {
            return sequence([]);
        }
        sequence([Term::text("<"), Term::joined(parameters, ", "), Term::text(">")])
    }

    /// All bounds of the parameters, wherever they are written.
    ///
    /// A clause without parameters is left out: it restricts no caller.
    pub(super) fn clauses(&self, generics: &Generics) -> Vec<Clause> {
        let mut clauses = Vec::new();
        for parameter in &generics.params {
            match &parameter.kind {
                GenericParamDefKind::Type { bounds, is_synthetic: false, .. } => clauses.push(Clause {
                    subject: self.ty(&Type::Generic(parameter.name.clone())),
                    bounds: bounds.iter().map(|bound| self.bound(bound)).collect(),
                }),
                GenericParamDefKind::Lifetime { outlives } => clauses.push(outlive(&parameter.name, outlives)),
                _ => {}
            }
        }
        for predicate in &generics.where_predicates {
            clauses.push(match predicate {
                WherePredicate::BoundPredicate { type_, bounds, generic_params } => Clause {
                    subject: sequence([Term::text(for_lifetimes(generic_params)), self.ty(type_)]),
                    bounds: bounds.iter().map(|bound| self.bound(bound)).collect(),
                },
                WherePredicate::LifetimePredicate { lifetime, outlives } => outlive(lifetime, outlives),
                WherePredicate::EqPredicate { lhs, rhs } => {
                    let rhs = match rhs {
                        AssocTerm::Type(ty) => self.ty(ty),
                        AssocTerm::Constant(constant) => Term::text(&constant.expr),
                    };
                    Clause { subject: self.ty(lhs), bounds: vec![sequence([Term::text("= "), rhs])] }
                }
            });
        }
        let has_parameter = |term: &Term| !term.parameters().is_empty();
        clauses.retain(|Clause { subject, bounds }| has_parameter(subject) || bounds.iter().any(has_parameter));
        clauses
    }
}

fn outlive(lifetime: &str, outlives: &[String]) -> Clause {
    Clause { subject: lifetime_term(lifetime), bounds: outlives.iter().map(|name| lifetime_term(name)).collect() }
}
