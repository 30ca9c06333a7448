//! What is for sale. It never changes: an order takes nothing from the stock.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Article {
    pub code: &'static str,
    pub libelle: &'static str,
    famille: &'static str,
    /// Cents of a euro, without tax.
    #[serde(rename = "prix_ht_centimes")]
    pub price: u64,
    /// Hundredths of a per cent: 550 is 5.5 %.
    #[serde(rename = "taux_tva_points_de_base")]
    pub vat_rate: u64,
    stock: u32,
}

pub(in crate::sandbox) const CATALOGUE: &[Article] = &[
    Article {
        code: "CAF-1KG",
        libelle: "Café en grains, torréfaction artisanale, 1 kg",
        famille: "Épicerie",
        price: 2_133,
        vat_rate: 550,
        stock: 48,
    },
    Article {
        code: "MIEL-500",
        libelle: "Miel de châtaignier des Cévennes, 500 g",
        famille: "Épicerie",
        price: 995,
        vat_rate: 550,
        stock: 112,
    },
    Article {
        code: "COUT-LAG",
        libelle: "Couteau de Laguiole, manche en genévrier",
        famille: "Coutellerie",
        price: 7_417,
        vat_rate: 2_000,
        stock: 9,
    },
    Article {
        code: "TORCH-LIN",
        libelle: "Torchon en lin lavé, bleu pétrole",
        famille: "Linge de maison",
        price: 1_250,
        vat_rate: 2_000,
        stock: 0,
    },
];

/// The article with that code, in exactly this case.
pub(in crate::sandbox) fn article(code: &str) -> Option<&'static Article> {
    CATALOGUE.iter().find(|article| article.code == code)
}
