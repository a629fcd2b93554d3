"""Retrieval and ranking on the UCI "Online Retail" transactions (Chen, Sain and Guo 2012): real, dirty data."""
