//! Writing models.

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{ChangeKind, Id, Model, No, catalog::ServedBy, money::PriceList};

use super::{
    ModelEdit, NewModel, ServedByName,
    row::{MODEL, model_of},
};
use crate::{
    Result, StoreError,
    bulk::{self, Insert},
    value::values,
    write::{Difference, Subject, Write},
};

pub(super) async fn read(write: &mut Write<'_>, id: Id<Model>) -> Result<Model> {
    let sql = format!("{MODEL} WHERE m.removed_at IS NULL AND m.id = $1");
    model_of(&write.row(AssertSqlSafe(sql), values![id]).await?.ok_or(StoreError::NotFound)?)
}

async fn named(write: &mut Write<'_>, name: &str) -> Result<Option<Model>> {
    let sql = format!("{MODEL} WHERE m.removed_at IS NULL AND m.name = $1");
    write.row(AssertSqlSafe(sql), values![name]).await?.as_ref().map(model_of).transpose()
}

pub(super) async fn insert(write: &mut Write<'_>, new: NewModel) -> Result<Model> {
    if named(write, new.name.as_str()).await?.is_some() {
        return Err(StoreError::Exists("a model of this name"));
    }
    let served_by = resolved(write, &new.served_by).await?;
    let (id, now) = (write.new_id(), write.now());
    let row = write
        .row(
            "INSERT INTO models (id, name, title, kind, context_window, max_output_tokens, price, created_at, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1) RETURNING no",
            values![
                id,
                &new.name,
                new.title.as_ref(),
                new.kind.as_str(),
                new.context_window,
                new.max_output_tokens,
                price_text(&new.price)?,
                now,
            ],
        )
        .await?;
    let no: No<Model> = row.ok_or_else(|| StoreError::Failed("a model was not made".into()))?.columns().next()?;
    serve(write, no, &served_by).await?;
    write.change(ChangeKind::Model(no));
    let detail = json!({
        "name": new.name, "title": new.title, "kind": new.kind, "context_window": new.context_window,
        "max_output_tokens": new.max_output_tokens, "price": new.price, "served_by": shown(&served_by),
    });
    write.audit("model.create", Subject::new(id), detail).await?;
    read(write, id).await
}

/// Whether anything changed; `model` is the new state then. `difference` may name changes found before.
pub(super) async fn edit(
    write: &mut Write<'_>,
    model: &mut Model,
    edit: ModelEdit,
    mut difference: Difference,
) -> Result<bool> {
    difference.take("title", &mut model.title, edit.title, |title| json!(title));
    difference.take("context_window", &mut model.context_window, edit.context_window, |tokens| json!(tokens));
    difference.take("max_output_tokens", &mut model.max_output_tokens, edit.max_output_tokens, |tokens| json!(tokens));
    if let Some(price) = &edit.price {
        keeps_its_currency(write, model, price).await?;
    }
    difference.take("price", &mut model.price, edit.price, |price| json!(price));
    let served_by = match edit.served_by {
        Some(names) => Some(resolved(write, &names).await?),
        None => None,
    };
    if difference.take("served_by", &mut model.served_by, served_by, |served_by| shown(served_by)) {
        write.execute("DELETE FROM served_by WHERE model_no = $1", values![model.no]).await?;
        serve(write, model.no, &model.served_by).await?;
    }
    if difference.is_empty() {
        return Ok(false);
    }
    model.version += 1;
    write
        .execute(
            "UPDATE models SET title = $2, kind = $3, context_window = $4, max_output_tokens = $5, price = $6, version = $7
             WHERE no = $1",
            values![
                model.no,
                model.title.as_ref(),
                model.kind.as_str(),
                model.context_window,
                model.max_output_tokens,
                price_text(&model.price)?,
                model.version,
            ],
        )
        .await?;
    write.change(ChangeKind::Model(model.no));
    write.audit("model.edit", Subject::new(model.id), difference.into_detail()).await?;
    Ok(true)
}

/// A sum of usage says nothing of currencies: they are the models' own. So what was charged in one stays in it.
async fn keeps_its_currency(write: &mut Write<'_>, model: &Model, price: &PriceList) -> Result<()> {
    if price.currency == model.price.currency {
        return Ok(());
    }
    // Attempts that are under way are charged by the old prices.
    let was_charged = !model.price.is_free() || {
        // The rollups by model, in the widest grain.
        let sql = "SELECT 1 FROM usage_accounts s CROSS JOIN usage_rollups r WHERE r.cube = 2 AND r.grain = 5
                   AND r.account_no = s.account_no AND r.model_no = $1 AND r.cost_nanos > 0 LIMIT 1";
        write.row(sql, values![model.no]).await?.is_some()
    };
    if was_charged {
        let why = "a model that costs something keeps its currency: withdraw it and make it anew in the other one";
        return Err(StoreError::State(why));
    }
    Ok(())
}

/// Makes it or brings it to this state; whether anything changed.
pub(super) async fn apply(write: &mut Write<'_>, new: NewModel) -> Result<bool> {
    let Some(mut model) = named(write, new.name.as_str()).await? else {
        insert(write, new).await?;
        return Ok(true);
    };
    let mut difference = Difference::default();
    difference.take("kind", &mut model.kind, Some(new.kind), |kind| json!(kind));
    let wanted = ModelEdit {
        title: Some(new.title),
        context_window: Some(new.context_window),
        max_output_tokens: Some(new.max_output_tokens),
        price: Some(new.price),
        served_by: Some(new.served_by),
    };
    edit(write, &mut model, wanted, difference).await
}

/// The upstreams of these names.
async fn resolved(write: &mut Write<'_>, names: &[ServedByName]) -> Result<Vec<ServedBy>> {
    if names.len() > Model::MOST_UPSTREAMS {
        return Err(StoreError::State("a model has at most 64 upstreams"));
    }
    let mut served_by = Vec::with_capacity(names.len());
    for name in names {
        if name.weight > Model::MOST_WEIGHT {
            return Err(StoreError::State("a weight is at most 1000000"));
        }
        let sql = "SELECT no FROM upstreams WHERE name = $1 AND removed_at IS NULL";
        let Some(row) = write.row(sql, values![&name.upstream]).await? else {
            return Err(StoreError::Unknown { kind: "upstream", name: name.upstream.to_string() });
        };
        served_by.push(ServedBy {
            upstream_no: row.columns().next()?,
            upstream: name.upstream.clone(),
            model: name.model.clone(),
            weight: name.weight,
        });
    }
    Ok(served_by)
}

async fn serve(write: &mut Write<'_>, model: No<Model>, served_by: &[ServedBy]) -> Result<()> {
    let rows = (0i64..).zip(served_by);
    let rows = rows.map(|(at, by)| values![model, at, by.upstream_no, &by.model, by.weight]).collect();
    let head = "INSERT INTO served_by (model_no, position, upstream_no, model, weight) VALUES ";
    bulk::execute(write, &Insert { head, columns: 5, tail: "" }, rows).await.map(drop)
}

fn shown(served_by: &[ServedBy]) -> serde_json::Value {
    served_by.iter().map(|by| json!({ "upstream": by.upstream, "model": by.model, "weight": by.weight })).collect()
}

fn price_text(price: &PriceList) -> Result<String> {
    serde_json::to_string(price).map_err(|error| StoreError::Failed(error.to_string()))
}
