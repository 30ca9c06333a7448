//! `GET /v1/articles`: a catalogue. The route, its fields and its content are our assumption.

use super::access::Live;
use axum::Json;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Articles {
    articles: &'static [Article],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Article {
    code: &'static str,
    libelle: &'static str,
    famille: &'static str,
    /// Euros without tax, as text so that no cent is lost.
    prix_ht: &'static str,
    /// Per cent.
    taux_tva: &'static str,
    stock: u32,
}

const CATALOGUE: &[Article] = &[
    Article {
        code: "CAF-1KG",
        libelle: "Café en grains, torréfaction artisanale, 1 kg",
        famille: "Épicerie",
        prix_ht: "21.33",
        taux_tva: "5.5",
        stock: 48,
    },
    Article {
        code: "MIEL-500",
        libelle: "Miel de châtaignier des Cévennes, 500 g",
        famille: "Épicerie",
        prix_ht: "9.95",
        taux_tva: "5.5",
        stock: 112,
    },
    Article {
        code: "COUT-LAG",
        libelle: "Couteau de Laguiole, manche en genévrier",
        famille: "Coutellerie",
        prix_ht: "74.17",
        taux_tva: "20",
        stock: 9,
    },
    Article {
        code: "TORCH-LIN",
        libelle: "Torchon en lin lavé, bleu pétrole",
        famille: "Linge de maison",
        prix_ht: "12.50",
        taux_tva: "20",
        stock: 0,
    },
];

pub(super) async fn list(_: Live) -> Json<Articles> {
    Json(Articles { articles: CATALOGUE })
}
