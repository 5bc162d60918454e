"""MQTT in: broker, link, intake, receipts, judgement."""
