/// The style sheet that pictures and pages share.

/// The colours of pictures and pages, light and dark. Both have the contrast of WCAG's level AA for text.
package let pictureStyle = """
    :root{color-scheme:light dark;--bg:#fff;--fg:#1c2024;--dim:#5d6670;--line:#c3cad1;--busy:#b45309;--panel:#f4f6f8;\
    --request:#1d4ed8;--reinit:#7c3aed;--marker:#b45309;--ack:#047857;--decision:#111827;--good:#047857;--bad:#b91c1c;--hold:#9d174d;\
    --plain:#475569;--chip:#fff}
    @media(prefers-color-scheme:dark){:root{--bg:#14181c;--fg:#e3e7eb;--dim:#9aa4ae;--line:#434c55;--busy:#f0a44b;--panel:#1d2329;\
    --request:#7fb0ff;--reinit:#c4a1ff;--marker:#f0a44b;--ack:#4fd1a1;--decision:#f8fafc;--good:#4fd1a1;--bad:#ff8a8a;--hold:#ff8fc4;\
    --plain:#aab4be;--chip:#14181c}}
    """
