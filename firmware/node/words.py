"""The words a node shows to the officer, in the languages of the posts.

They are those of the gateway's catalogue (gateway/locale); a test compares them. Sentences are the
gateway's business.
"""

LANGUAGES = ("en", "fr", "ar", "es")
NAMES = (
    "starting",
    "ready",
    "measuring",
    "stored",
    "published",
    "sent",
    "verdict",
    "fault",
    "identify",
    "safe",
    "stopped",
    "alarm",
    "inconclusive",
    "clear",
    "drill",
)

WORDS = {
    "en": (
        "starting",
        "ready",
        "measuring",
        "stored",
        "sent",
        "stored at the post",
        "verdict",
        "fault",
        "here it is",
        "safe mode",
        "stopped",
        "alarm",
        "inconclusive",
        "clear",
        "drill",
    ),
    "fr": (
        "démarrage",
        "prêt",
        "mesure en cours",
        "enregistré",
        "envoyé",
        "enregistré au poste",
        "verdict",
        "panne",
        "c'est ici",
        "mode sans échec",
        "arrêté",
        "alarme",
        "non concluant",
        "rien à signaler",
        "exercice",
    ),
    "ar": (
        "جارٍ بدء التشغيل",
        "جاهز",
        "جارٍ القياس",
        "محفوظ",
        "أُرسل",
        "محفوظ في المركز",
        "الحكم",
        "عطل",
        "هنا",
        "الوضع الآمن",
        "متوقف",
        "إنذار",
        "غير حاسم",
        "لا شيء",
        "تمرين",
    ),
    "es": (
        "iniciando",
        "listo",
        "midiendo",
        "guardado",
        "enviado",
        "guardado en el puesto",
        "veredicto",
        "avería",
        "es este",
        "modo seguro",
        "detenido",
        "alarma",
        "no concluyente",
        "sin hallazgos",
        "simulacro",
    ),
}


def word(name: str, language: str) -> str:
    """Return the word for a signal; English where the language is not known."""
    return WORDS.get(language, WORDS["en"])[NAMES.index(name)]
