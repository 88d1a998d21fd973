//! Passwords: rules, parameters, and what each refusal costs.
