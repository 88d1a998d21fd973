//! Plans.

use std::str::FromStr;

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{
    Actor, ChangeKind, Id, No, Plan,
    name::{Handle, Label},
};

use super::{
    NewPlan, PLANS, PlanEdit,
    row::{PLAN, plan_of},
};
use crate::{
    Committed, Page, PageRequest, Result, Store, StoreError,
    value::values,
    write::{Difference, Subject, Write},
};

impl Store {
    /// Makes a plan.
    ///
    /// # Errors
    /// [`crate::StoreError::Exists`], or when the store fails.
    pub async fn plan_create(&self, actor: &Actor, new: NewPlan) -> Result<Plan> {
        let mut write = self.write(actor).await?;
        let plan = insert(&mut write, new.handle, new.name, new.paid).await?;
        Ok(write.commit(plan).await?.value)
    }
    /// A plan by id or by handle.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn plan_get(&self, id_or_handle: &str) -> Result<Plan> {
        if Id::<Plan>::from_str(id_or_handle).is_err() && Handle::from_str(id_or_handle).is_err() {
            return Err(StoreError::NotFound);
        }
        let sql = format!("{PLAN} WHERE p.id = $1 OR p.handle = $1");
        plan_of(&self.pools().row(AssertSqlSafe(sql), values![id_or_handle]).await?.ok_or(StoreError::NotFound)?)
    }
    /// All plans, by handle.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn plan_list(&self, page: &PageRequest) -> Result<Page<Plan>> {
        let after = page.after(PLANS)?.unwrap_or_default();
        let sql = format!("{PLAN} WHERE p.handle > $1 ORDER BY p.handle LIMIT $2");
        let rows = self.pools().rows(AssertSqlSafe(sql), values![after, page.rows()]).await?;
        let plans = rows.iter().map(plan_of).collect::<Result<Vec<_>>>()?;
        Ok(page.page(PLANS, plans, |plan| plan.handle.to_string()))
    }
    /// Edits a plan; a change of `paid` goes to every account on it, in the same transaction.
    ///
    /// # Errors
    /// [`crate::StoreError::VersionConflict`], or when the store fails.
    pub async fn plan_edit(
        &self,
        actor: &Actor,
        id: Id<Plan>,
        edit: PlanEdit,
        if_version: Option<i64>,
    ) -> Result<Committed<Plan>> {
        let mut write = self.write(actor).await?;
        let (no, mut plan) = read(&mut write, id).await?;
        if if_version.is_some_and(|version| version != plan.version) {
            return Err(StoreError::VersionConflict);
        }
        let mut difference = Difference::default();
        difference.take("name", &mut plan.name, edit.name, |name| json!(name));
        let standing = difference.take("paid", &mut plan.paid, edit.paid, |paid| json!(paid));
        if difference.is_empty() {
            return write.unchanged(plan).await;
        }
        plan.version += 1;
        write
            .execute(
                "UPDATE plans SET name = $2, paid = $3, version = $4 WHERE no = $1",
                values![no, &plan.name, plan.paid, plan.version],
            )
            .await?;
        if standing {
            for row in write.rows("SELECT no FROM accounts WHERE plan_no = $1 ORDER BY no", values![no]).await? {
                write.change(ChangeKind::Account(row.columns().next()?));
            }
        }
        write.audit("plan.edit", Subject::new(id), difference.into_detail()).await?;
        write.commit(plan).await
    }
    /// Removes a plan that no account is on.
    ///
    /// # Errors
    /// [`crate::StoreError::InUse`], or when the store fails.
    pub async fn plan_remove(&self, actor: &Actor, id: Id<Plan>) -> Result<()> {
        let mut write = self.write(actor).await?;
        let (no, plan) = read(&mut write, id).await?;
        let sql = "SELECT handle FROM accounts WHERE plan_no = $1 ORDER BY handle LIMIT 1";
        if let Some(row) = write.row(sql, values![no]).await? {
            let account: String = row.columns().next()?;
            return Err(StoreError::InUse(format!("the account {account} is on it")));
        }
        write.execute("DELETE FROM plans WHERE no = $1", values![no]).await?;
        write.audit("plan.remove", Subject::new(id), json!({ "handle": plan.handle })).await?;
        write.commit(()).await.map(drop)
    }
}

pub(super) async fn insert(write: &mut Write<'_>, handle: Handle, name: Label, paid: bool) -> Result<Plan> {
    if write.row("SELECT no FROM plans WHERE handle = $1", values![&handle]).await?.is_some() {
        return Err(StoreError::Exists("a plan of this name"));
    }
    let (id, now) = (write.new_id(), write.now());
    write
        .execute(
            "INSERT INTO plans (id, handle, name, paid, created_at, version) VALUES ($1, $2, $3, $4, $5, 1)",
            values![id, &handle, &name, paid, now],
        )
        .await?;
    let detail = json!({ "handle": handle, "name": name, "paid": paid });
    write.audit("plan.create", Subject::new(id), detail).await?;
    Ok(Plan { id, handle, name, paid, created_at: now, version: 1 })
}

/// A plan's row number by its handle.
pub(super) async fn no(write: &mut Write<'_>, handle: &Handle) -> Result<No<Plan>> {
    let row = write.row("SELECT no FROM plans WHERE handle = $1", values![handle]).await?;
    row.ok_or_else(|| StoreError::Unknown { kind: "plan", name: handle.to_string() })?.columns().next()
}

async fn read(write: &mut Write<'_>, id: Id<Plan>) -> Result<(No<Plan>, Plan)> {
    let sql = format!("{PLAN} WHERE p.id = $1");
    let plan = plan_of(&write.row(AssertSqlSafe(sql), values![id]).await?.ok_or(StoreError::NotFound)?)?;
    Ok((no(write, &plan.handle).await?, plan))
}
