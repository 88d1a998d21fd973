//! What accounts and users are searched by: their names in lower case, as this program makes letters small. The engines'
//! own functions know no letters beyond ASCII alike.

use tollgate_core::{
    Account, No, User,
    name::{Email, Handle, Label},
};

use crate::{Result, engine::Tx, value::values};

pub(super) fn of_account(handle: &Handle, name: &Label) -> String {
    format!("{handle}\n{name}").to_lowercase()
}

pub(super) fn of_user(name: &Label, email: Option<&Email>) -> String {
    format!("{name}\n{}", email.map(Email::as_str).unwrap_or_default()).to_lowercase()
}

/// Fills in what a program from before these columns left empty, also one that runs beside this one.
pub(crate) async fn make_searchable(tx: &mut Tx) -> Result<()> {
    for row in tx.rows("SELECT no, handle, name FROM accounts WHERE search_text = ''", values![]).await? {
        let mut columns = row.columns();
        let (no, handle, name): (No<Account>, _, _) = (columns.next()?, columns.next()?, columns.next()?);
        let sql = "UPDATE accounts SET search_text = $2 WHERE no = $1";
        tx.execute(sql, values![no, of_account(&handle, &name)]).await?;
    }
    for row in tx.rows("SELECT no, name, email FROM users WHERE search_text = ''", values![]).await? {
        let mut columns = row.columns();
        let (no, name, email): (No<User>, _, Option<Email>) = (columns.next()?, columns.next()?, columns.next()?);
        let sql = "UPDATE users SET search_text = $2 WHERE no = $1";
        tx.execute(sql, values![no, of_user(&name, email.as_ref())]).await?;
    }
    Ok(())
}
